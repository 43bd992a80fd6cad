"""Text about faces, written from attribute sets."""

from faceinsight.data.words.draft import Answer, Text
from faceinsight.data.words.facts import Facts, Population, SchemaWords
from faceinsight.data.words.writer import FaceWriter

__all__ = ["Answer", "FaceWriter", "Facts", "Population", "SchemaWords", "Text"]
