"""FaceInsight."""
