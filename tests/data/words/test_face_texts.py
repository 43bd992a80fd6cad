"""Texts of a batch's faces, written from their labels."""

from dataclasses import replace

import pytest
import torch

from faceinsight.data.batch import FaceBatch
from faceinsight.data.words import FaceWriter, Population, SchemaWords
from faceinsight.data.words.face_texts import FaceTexts
from faceinsight.knowledge.rules import RuleSet

RULES = RuleSet.load("synthfaces")


def labels(**values: int) -> torch.Tensor:
    return torch.tensor([values.get(name, 0) for name in RULES.schema.names], dtype=torch.int8)


def test_a_face_s_text_says_what_its_labels_say_and_nothing_else() -> None:
    texts = FaceTexts(rules=RULES)
    bald = labels(Bald=1, Eyeglasses=-1)
    question, answer = texts(bald, 4) or ("", "")
    assert question in texts.questions
    assert "bald" in answer
    assert texts(bald, 4) == (question, answer)
    assert len({texts(bald, row) for row in range(20)}) > 5
    assert all("smil" not in (texts(bald, row) or ("", ""))[1] for row in range(20))
    assert texts(labels(), 4) is None


def test_texts_go_with_their_faces() -> None:
    def one(row: int, texts: list[tuple[str, str] | None] | None) -> FaceBatch:
        return FaceBatch(torch.rand(1, 3, 4, 4), torch.ones(1, 2, dtype=torch.int8), torch.tensor([row]), texts=texts)

    both = FaceBatch.cat([one(0, [("Q", "A")]), one(1, [None])]).to("cpu")
    assert both.texts == [("Q", "A"), None]
    assert FaceBatch.cat([one(0, None), one(1, None)]).texts is None
    assert replace(both, images=None).texts == both.texts


def test_the_writer_writes_the_kinds_that_it_is_asked_for() -> None:
    words = SchemaWords.of(RULES)
    faces = [Population(words, [words.facts({"Bald": True, "Smiling": True})])]
    write = FaceWriter(populations=faces, kinds=["choice", "description"])
    assert {write(number).kind for number in range(30)} == {"choice", "description"}
    with pytest.raises(ValueError, match=r"some of description, .*got poem$"):
        FaceWriter(populations=faces, kinds=["poem"])
