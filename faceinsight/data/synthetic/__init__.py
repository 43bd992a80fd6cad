"""SynthFaces' inside: who the drawn faces are, how they are drawn, and what the camera does to them.

``population`` decides, ``head`` gives the shape in depth and its pose, ``skin``, ``hair``, ``wear`` and ``scene`` draw,
``camera`` spoils, ``renderer`` puts them together. Everything is numpy and Pillow.
"""
