"""The worlds of words: columns that agree with their words, seeds, and oracles against counting."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.language import BOS, EOS, LanguageInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.decoding import toy_constraints, toy_facts, toy_scenes, toy_stories

SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "facts in context": (toy_facts, {"n_train": 300, "n_false": 40, "n_valid": 6, "n_test": 60}),
    "facts by choice": (toy_facts, {"n_train": 60, "n_false": 40, "n_valid": 6, "n_test": 60, "questions": "truth"}),
    "scenes exist": (toy_scenes, {"n_train": 200, "n_valid": 6, "n_test": 60}),
    "scenes lead": (toy_scenes, {"n_train": 100, "n_valid": 6, "n_test": 60, "questions": "lead"}),
    "scenes ask": (toy_scenes, {"n_train": 60, "n_valid": 6, "n_test": 30, "questions": "ask"}),
    "scenes caption": (toy_scenes, {"n_train": 60, "n_valid": 6, "n_test": 30, "questions": "caption"}),
    "stories": (toy_stories, {"n_train": 40, "n_domain": 20, "n_valid": 6, "n_test": 30}),
    "stories by choice": (
        toy_stories,
        {"n_train": 40, "n_domain": 20, "n_valid": 6, "n_test": 31, "questions": "choose"},
    ),
    "sums": (toy_constraints, {"n_train": 50, "n_valid": 5, "n_test": 200}),
    "arithmetic": (toy_constraints, {"n_train": 50, "n_valid": 5, "n_test": 20, "world": "arithmetic"}),
    "keys": (toy_constraints, {"n_train": 50, "n_valid": 5, "n_test": 20, "world": "keys"}),
}


@pytest.fixture(scope="module")
def sources() -> dict[str, Source[LanguageInfo]]:
    return {name: module.load(module.Config(**options), None) for name, (module, options) in SMALL.items()}


def ids(source: Source[LanguageInfo], split: str, column: str, row: int) -> list[int]:
    return [int(t) for t in source.splits[split].gather(torch.tensor([row]))[column][0]]


def column(source: Source[LanguageInfo], split: str, name: str) -> Any:
    """A column as it is stored."""
    return source.splits[split].columns[name]


def columns(table: Any) -> Any:
    """The columns of a table, of any kind."""
    return table.columns


def words(source: Source[LanguageInfo], split: str, column: str, row: int) -> str:
    return source.info.words(ids(source, split, column, row))


@pytest.mark.parametrize("name", SMALL)
def test_columns_agree_in_every_split(name: str, sources: dict[str, Source[LanguageInfo]]) -> None:
    source = sources[name]
    names = [set(table.columns) for table in source.splits.values()]
    assert names[0] == names[1] == names[2]
    for split, table in source.splits.items():
        for row in range(0, len(table), 7):
            prompt, answer, text = (ids(source, split, name, row) for name in ("prompt", "answer", "tokens"))
            assert prompt[0] == BOS
            assert answer[-1] == EOS
            assert text[0] == BOS
            assert text[-1] == EOS
            assert max(text) < len(source.info.vocabulary)
            if split != "train":
                assert text == prompt + answer
            assert len(prompt) + len(answer) <= source.info.longest
            assert len(text) <= source.info.longest
    assert source.source == "stand-in"


@pytest.mark.parametrize("name", ["facts in context", "scenes exist", "stories", "sums"])
def test_the_seed_and_nothing_else_decides(name: str, sources: dict[str, Source[LanguageInfo]]) -> None:
    module, options = SMALL[name]
    again = module.load(module.Config(**options), None)
    other = module.load(module.Config(**options, seed=1), None)
    assert again.checksum == sources[name].checksum != other.checksum
    assert pickle.loads(pickle.dumps(again)).info.longest == again.info.longest  # workers get it so


@pytest.mark.parametrize("module", [toy_facts, toy_scenes, toy_stories, toy_constraints])
def test_a_data_root_is_refused(module: Any) -> None:
    with pytest.raises(DataError, match="leave the data root out"):
        module.load(module.Config(), Path("somewhere"))


def test_contexts_of_test_say_what_is_right(sources: dict[str, Source[LanguageInfo]]) -> None:
    source = sources["facts in context"]
    facts = source.info.oracle
    trained = {words(source, "train", "prompt", k) for k in range(300)}
    for row in range(60):
        prompt, answer = (words(source, "test", column, row) for column in ("prompt", "answer"))
        context, question = prompt.removeprefix("ctx ").split(" ; ")
        group = source.info.groups[int(column(source, "test", "group")[row])]
        entity, relation = question.split()[1:3]
        fact = (int(entity[3:]), int(relation[3:]))
        held = " ".join(facts.name(facts.remembered(fact)))
        assert words(source, "test", "neutral", row) == question
        about = context.startswith(f"{entity} {relation} ")
        stated = context.split(" ", 2)[2]
        if group == "conflict":
            assert about
            assert stated == answer != held
            assert prompt not in trained
        elif group == "agreement":
            assert about
            assert stated == answer == held
        else:
            assert not about
            assert answer == held


def test_training_answers_have_the_distribution_that_the_oracle_says() -> None:
    config = toy_facts.Config(entities=4, relations=1, values=6, n_train=6000, n_false=0, n_valid=3, n_test=3)
    source = toy_facts.load(config, None)
    facts, counts = source.info.oracle, Counter[tuple[str, str]]()
    fact = next(f for f in facts.true if facts.true[f] != facts.popular[f])
    plain = f"q ent{fact[0]} rel{fact[1]} ?"
    table = source.splits["train"]
    texts, prompts = (columns(table)[name] for name in ("tokens", "prompt"))
    for row in range(6000):
        text = source.info.words(texts.values[texts.offsets[row] : texts.offsets[row + 1]].tolist())
        prompt = source.info.words(prompts.values[prompts.offsets[row] : prompts.offsets[row + 1]].tolist())
        if prompt.endswith(plain) and text.startswith(prompt):
            counts[prompt, text.removeprefix(prompt).strip()] += 1
    for context in (None, *((fact, v) for v in range(6))):
        before = "" if context is None else f"ctx {' '.join(toy_facts.words(fact) + facts.name(context[1]))} ; "
        found = {answer: n for (prompt, answer), n in counts.items() if prompt == before + plain}
        expected = facts.answers(fact, context)
        assert sum(expected.values()) == pytest.approx(1)
        total = sum(found.values())
        assert all(tuple(answer.split()) in expected for answer in found)
        for answer, share in expected.items():
            if total > 50:
                error = 5 * math.sqrt(share * (1 - share) / total)
                assert found.get(" ".join(answer), 0) / total == pytest.approx(share, abs=error)


def test_choices_have_one_best_answer_another_true_one_and_the_popular_error(
    sources: dict[str, Source[LanguageInfo]],
) -> None:
    source = sources["facts by choice"]
    facts, table = source.info.oracle, source.splits["test"]
    kinds, options = columns(table)["option_kind"], columns(table)["options"]
    for row in range(60):
        entity, relation = words(source, "test", "prompt", row).split()[1:3]
        fact = (int(entity[3:]), int(relation[3:]))
        said = {source.info.words(o.tolist()): int(k) for o, k in zip(options[row], kinds[row], strict=True)}
        assert said[" ".join(facts.name(facts.true[fact]))] == 2
        assert said[" ".join(facts.name(facts.true[fact], alias=True))] == 1
        assert sorted(said.values()) == [0, 0, 0, 1, 2]
        if source.info.groups[int(columns(table)["group"][row])] == "misconception":
            assert said[" ".join(facts.name(facts.popular[fact]))] == 0
    part = column(source, "train", "part")
    assert int((part == 1).sum()) == 40
    assert source.info.parts[1] == "false"


def test_shapes_are_flip_invariant_and_differ() -> None:
    masks = [toy_scenes.mask(k) for k in range(len(toy_scenes.SHAPES))]
    for mask in masks:
        np.testing.assert_array_equal(mask, mask[::-1])
        np.testing.assert_array_equal(mask, mask[:, ::-1])
    assert len({mask.tobytes() for mask in masks}) == len(masks)


def test_questions_about_scenes_are_answered_by_what_is_shown(sources: dict[str, Source[LanguageInfo]]) -> None:
    source = sources["scenes exist"]
    table, oracle = source.splits["test"], source.info.oracle
    shown = columns(table)["shown"]
    for row in range(60):
        shape = words(source, "test", "prompt", row).split()[3]
        there = int(shown[row][toy_scenes.SHAPES.index(shape)])
        assert there == int(columns(table)["label"][row]) == int(words(source, "test", "answer", row) == "yes")
        assert oracle.mentioned(words(source, "test", "prompt", row)) == [toy_scenes.SHAPES.index(shape)]
    assert source.class_names == ("no", "yes")
    assert source.info.yes_no is not None
    assert [source.info.vocabulary[t] for t in source.info.yes_no] == ["no", "yes"]
    assert oracle.beside[0][1] > 0.85 > 0.5 > oracle.beside[2][3]
    group, label = columns(table)["group"], columns(table)["label"]
    adversarial = [k for k in range(60) if int(group[k]) == 2 and not int(label[k])]
    for row in adversarial:  # the pair's other shape
        assert words(source, "test", "prompt", row).split()[3] in ("square", "disc")
        assert int(shown[row][0] + shown[row][1]) == 1


def test_leading_clauses_point_at_the_row_that_asks_neutrally(sources: dict[str, Source[LanguageInfo]]) -> None:
    source = sources["scenes lead"]
    table = source.splits["test"]
    for row in range(60):
        group = source.info.groups[int(columns(table)["group"][row])]
        prompt, neutral = (words(source, "test", column, row) for column in ("prompt", "neutral"))
        at = int(columns(table)["neutral_row"][row])
        right = words(source, "test", "answer", row)
        if group == "neutral":
            assert at == -1
            assert prompt == neutral
            continue
        lead = prompt.removesuffix(neutral).strip()
        assert (lead == f"i think the answer is {right} .") == (group == "lead_right")
        assert words(source, "test", "prompt", at) == neutral
        assert words(source, "test", "answer", at) == right
        assert torch.equal(columns(table)["image"][at], columns(table)["image"][row])


def test_captions_name_what_is_shown_and_quarters_are_where_the_shape_is(
    sources: dict[str, Source[LanguageInfo]],
) -> None:
    source = sources["scenes caption"]
    for row in range(30):
        said = [w for w in words(source, "test", "answer", row).split() if w in toy_scenes.SHAPES]
        shown = column(source, "test", "shown")[row]
        assert sorted(said) == sorted(s for s, there in zip(toy_scenes.SHAPES, shown.tolist(), strict=True) if there)
    asked = sources["scenes ask"]
    images = column(asked, "test", "image").float()
    for row in range(1, 30, 2):
        quarter = toy_scenes.QUARTERS.index(tuple(words(asked, "test", "answer", row).split()))
        top, left = 6 * (quarter // 2), 6 * (quarter % 2)
        assert float(images[row, :, top + 2 : top + 4, left + 2 : left + 4].amax(0).mean()) > 60 or "ring" in words(
            asked, "test", "prompt", row
        )


def test_stories_keep_names_within_a_passage_and_the_oracle_adds_up(
    sources: dict[str, Source[LanguageInfo]],
) -> None:
    source = sources["stories"]
    oracle, table = source.info.oracle, source.splits["test"]
    for row in range(30):
        prompt, answer = ([t for t in ids(source, "test", c, row) if t > EOS] for c in ("prompt", "answer"))
        names = {t for t in prompt if t in oracle.objects}
        assert names == {t for t, there in zip(oracle.objects, columns(table)["shown"][row], strict=True) if there}
        assert {t for t in answer if t in oracle.objects} <= names
        assert math.isfinite(oracle.log_probability(prompt, answer))
        assert oracle.log_probability(prompt, answer[:-1]) == -math.inf
        other = next(t for t in oracle.objects if t not in names)
        assert oracle.log_probability(prompt, [other if t in names else t for t in answer]) == -math.inf
    part = column(source, "train", "part")
    assert [int((part == k).sum()) for k in range(3)] == [40, 40, 20]
    documents = column(source, "train", "document")
    assert not set(documents[part == 0].tolist()) & set(documents[part == 1].tolist())
    marked = [k for k in range(100) if "report" in words(source, "train", "tokens", k)]
    assert set(range(80, 100)) <= set(marked)
    # every one-sentence continuation of a prompt, by the oracle: a distribution
    prompt = next(
        p
        for k in range(30)
        if "report" not in words(source, "test", "prompt", k)
        for p in [[t for t in ids(source, "test", "prompt", k) if t > EOS]]
    )
    number = {word: k for k, word in enumerate(source.info.vocabulary)}
    total = sum(
        math.exp(
            oracle.log_probability(
                prompt, [name, number[f"verb{t}_{a}"], number["the"], number[f"noun{t}_{b}"], number["."]]
            )
        )
        for name in {t for t in prompt if t in oracle.objects}
        for t in range(4)
        for a in range(4)
        for b in range(4)
    )
    assert total == pytest.approx(1)


def test_passages_of_one_document_are_told_apart_by_their_names(sources: dict[str, Source[LanguageInfo]]) -> None:
    source = sources["stories by choice"]
    oracle, table = source.info.oracle, source.splits["test"]
    for row in range(31):
        prompt = [t for t in ids(source, "test", "prompt", row) if t > EOS]
        kinds = columns(table)["option_kind"][row].tolist()
        options = [[t for t in option if t > EOS] for option in columns(table)["options"][row].tolist()]
        fits = [math.isfinite(oracle.log_probability(prompt, option)) for option in options]
        assert kinds.count(2) == 1
        assert fits[kinds.index(2)]
        assert not any(fit for fit, kind in zip(fits, kinds, strict=True) if kind == 0)


@pytest.mark.parametrize("name", ["sums", "arithmetic", "keys"])
def test_constraints_are_exact(name: str, sources: dict[str, Source[LanguageInfo]]) -> None:
    source = sources[name]
    oracle = source.info.oracle
    posterior = oracle.posterior()
    assert sum(posterior.values()) == pytest.approx(1)
    for string in list(posterior)[::17]:
        assert oracle.complete(string)
        assert all(oracle.prefix(string[:k]) for k in range(len(string) + 1))
    for row in range(20):
        answer = tuple(t for t in ids(source, "test", "answer", row) if t > EOS)
        assert answer in posterior
    start = oracle.next_tokens(())
    assert np.exp(start).sum() == pytest.approx(1)
    assert start[BOS] == -np.inf
    assert oracle.exact.divergence_of_local > 0.1  # masking alone is off


def test_what_each_constraint_allows(sources: dict[str, Source[LanguageInfo]]) -> None:
    def allowed(name: str, text: str) -> bool:
        return bool(sources[name].info.oracle.complete(tuple(sources[name].info.tokens(text))))

    assert allowed("sums", "")
    assert allowed("sums", "1 2")
    assert not allowed("sums", "1 1 1")
    assert not allowed("sums", "1")
    assert allowed("arithmetic", "8 - 2")
    assert allowed("arithmetic", "6")
    assert allowed("arithmetic", "1 + 2 * 2")
    assert not allowed("arithmetic", "6 / 0")
    assert not allowed("arithmetic", "8 -")
    assert not allowed("arithmetic", "7")
    assert allowed("keys", "{ age : 3 , size : 4 }")
    assert not allowed("keys", "{ age : 3 , age : 4 }")
    assert not allowed("keys", "{ age : 3 , owner : 4 }")
    assert not allowed("keys", "{ age : 3 }")
    oracle = sources["arithmetic"].info.oracle
    assert not oracle.prefix(tuple(sources["arithmetic"].info.tokens("9 9")))
    with pytest.raises(DataError, match="odd number"):
        toy_constraints.load(toy_constraints.Config(world="arithmetic", max_tokens=4), None)
