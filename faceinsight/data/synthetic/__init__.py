"""SynthFaces' inside: who the drawn faces are, how they are drawn, and what the camera does to them.

``population`` decides; ``head`` gives the shape in depth, ``framing`` its pose and place, ``palette`` the colours.
``background``, ``body``, ``ears``, ``skin`` (with ``age`` and ``beard``), ``eyes``, ``mouth``, ``hair`` (a ``haircut``,
its ``fringe``), ``jewellery``, ``glasses`` and ``hats`` draw; ``shading`` lights; ``camera`` spoils; ``renderer`` puts
them together; ``writer`` writes files. Everything is numpy and Pillow.
"""
