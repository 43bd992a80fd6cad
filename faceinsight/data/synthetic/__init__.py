"""SynthFaces' inside: who the drawn faces are, how they are drawn, and what the camera does to them.

``population`` decides; ``head`` gives the shape in depth and its pose; ``skin``, ``features``, ``hair``, ``body``,
``wear`` and ``scene`` draw; ``shading`` lights; ``camera`` spoils; ``renderer`` puts them together; ``writer`` writes
files. Everything is numpy and Pillow.
"""
