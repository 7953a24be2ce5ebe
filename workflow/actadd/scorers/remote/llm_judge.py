"""A language model as judge, behind any server of OpenAI's chat completions form.

Each text is one question, to be answered with yes or no.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.scorers.kinds import ENDPOINT, Job, scorer
from actadd.scorers.server import (
    REFUSED,
    ServerOptions,
    Unreadable,
    answer,
    count_gaps,
    excerpt,
)

if TYPE_CHECKING:
    import pandas as pd

PARAMETER = Rule(
    title="a parameter's name, but not model, messages or stream",
    pattern=r"^(?!(model|messages|stream)\Z)[A-Za-z_][A-Za-z0-9_.-]*\Z",
)


@dataclass(frozen=True, kw_only=True)
class LlmJudgeOptions(ServerOptions):
    url: str = option("Address of the server's chat completions.", **ENDPOINT)
    model: str = option("The judge's name on that server.", min_length=1)
    question: str = option(
        "What the judge is asked about each completion.",
        title="a question with {completion} in it, and {prompt} if you like, to be answered yes or "
        "no",
        pattern=r"\{completion\}",
    )
    temperature: float = option("Temperature of the judge.", 0, minimum=0)
    max_tokens: int = option(
        "Tokens that an answer may have; a judge that thinks first needs hundreds.", 5, minimum=1
    )
    parameters: dict[Annotated[str, PARAMETER], Any] = option(
        "Additional parameters of a request, which replace those of the same name; null removes "
        "one, as in {max_tokens: null, max_completion_tokens: 64}.",
        {},
    )


HARMLESS = {"prompt": "It was a sunny", "completion": " day and we went for a walk."}
# finish_reason of a reply that was cut by the number of tokens, or by a filter.
CUT = ("length", "max_tokens")
FILTERED = ("content_filter", "refusal", "safety", "recitation", "sensitive")
# Where the answer begins, by the marks that models put around what they think; a mark's first half
# may have been in the chat template.
CLOSED = re.compile(
    r"</(?:think|thinking|thought|reasoning|reflection|seed:think)>|\[/THINK\]|◁/think▷"
    r"|<\|channel\|>final<\|message\|>|assistantfinal",
    re.IGNORECASE,
)
UNCLOSED = re.compile(
    r"<(?:think|thinking|thought|reasoning|reflection|seed:think)>|\[THINK\]|◁think▷"
    r"|<\|channel\|>analysis",
    re.IGNORECASE,
)
# Neither "yes or no" nor "no doubt".
WORD = (
    r"(yes|no(?!\s+(?:doubt|question|problem|matter|wonder|idea|clue)\b))(?![^\W_])"
    r"(?!\W*(?:or|and)\W+(?:yes|no)\b)(?!\s*[/|]\s*(?:yes|no)\b)"
)
STARTS = re.compile(rf"[\W_]*{WORD}")
# "The answer is: **yes**", "<answer>no</answer>", "My verdict on this text is no.", "\boxed{yes}".
MARKED = re.compile(
    rf"(?:\b(?:answer|verdict|conclusion)\b[\W_]*|\\boxed\{{(?:\\text\{{)?[\W_]*"
    rf"|\b(?:answer|verdict|conclusion)\b[^.!?\n]{{0,60}}?\b(?:is|be)\b[\W_]*){WORD}"
)
# "It is happy, so yes.", in so many characters at the end.
TAIL = 300
ENDS = re.compile(
    rf"(?:(?:^|[.!?:;,\n])[\W_]*|\b(?:so|thus|hence|therefore|say)\b\W*){WORD}[\W_]*$"
)
# What turns a yes or no round, or leaves it open: "cannot be yes", "hard to say no", and behind it
# "would be wrong".
NEGATION = re.compile(r"\b(?:not|never|neither|nor|cannot|hard|difficult)\b|n['’]t\b")
DENIAL = re.compile(
    r"\W*(?:is|was|seems|(?:would|may) be)\b[^.!?\n]{0,20}\b(?:wrong|incorrect|false|misleading)\b"
)


@scorer(LlmJudgeOptions, metrics={"yes": True}, asks=True)
def llm_judge(table: pd.DataFrame, options: LlmJudgeOptions, job: Job) -> pd.DataFrame:
    """A language model as judge. yes: 1 or 0.

    NaN for an empty completion, which is not sent, for a text that the server refuses, and for an
    answer without yes or no. Their number and the reasons are printed and are in the frame's
    `attrs["gaps"]`. Raises CellError if texts were sent and none of them has an answer.
    """
    import pandas as pd

    values, gaps, asked = [], [], 0
    for prompt, completion in zip(table["prompt"], table["completion"], strict=True):
        value = None
        if completion.strip():
            asked += 1
            value, gap = _yes(options, job, prompt, completion)
            gaps += [gap] if value is None else []
        values.append(value)
    frame = pd.DataFrame({"yes": pd.Series(values, index=table.index, dtype="float64")})
    frame.attrs |= count_gaps(job, gaps, asked)
    return frame


def _yes(
    options: LlmJudgeOptions, job: Job, prompt: str, completion: str
) -> tuple[float | None, str]:
    """The judge's answer, or None and the reason."""
    record = answer(
        options,
        job,
        _body(options, {"prompt": prompt, "completion": completion}),
        _read,
        headers=lambda key: {"Authorization": f"Bearer {key}"},
        harmless=_body(options, HARMLESS),
        remedy=lambda refusal: _remedy(options, job, refusal),
    )
    reply = record["answer"]
    if record.get("gap"):
        return None, record["gap"]
    value = verdict(reply or "")
    if value is None and record.get("cut"):
        return None, f"{_cut(options, job)}: {excerpt(reply or '', 60)!r}"
    return value, f"neither yes nor no: {excerpt(reply or '', 60)!r}"


def _body(options: LlmJudgeOptions, texts: dict[str, str]) -> dict[str, Any]:
    # In one pass: a text may itself spell out a placeholder.
    question = re.sub(r"\{(prompt|completion)\}", lambda name: texts[name[1]], options.question)
    body = {
        "model": options.model,
        "messages": [{"role": "user", "content": question}],
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
        **options.parameters,
    }
    return {name: value for name, value in body.items() if value is not None}


def _cut(options: LlmJudgeOptions, job: Job) -> str:
    """Which key has to be larger where an answer is cut before yes or no."""
    of_tokens = [name for name in options.parameters if name.endswith("_tokens")]
    chosen = [f"parameters.{name}" for name in of_tokens if options.parameters[name] is not None]
    key = f"{job.key}.{(chosen or ['max_tokens'])[0]}"
    return f"cut before yes or no (write a larger {key})"


def _remedy(options: LlmJudgeOptions, job: Job, refusal: str) -> str:
    """What to write where the server refuses a request, by the parameters that it names."""
    check = "check the address, the model's name and the key"
    if not refusal.startswith(("400", "422")):
        return check.capitalize()
    sent = set(_body(options, HARMLESS)) - {"model", "messages"}
    parameters = dict(options.parameters)
    named: dict[str, Any] = {
        name: None for name in sorted(sent) if re.search(rf"\b{name}\b", refusal)
    }
    if "max_tokens" in named or "max_completion_tokens" in refusal:
        named |= {"max_tokens": None, "max_completion_tokens": 64}
    parameters |= named or {"temperature": None}
    listed = ", ".join(f"{name}: {json.dumps(value)}" for name, value in parameters.items())
    return f"Leave out or rename a parameter by {job.key}.parameters: {{{listed}}}; else {check}"


def _read(reply: Any) -> dict[str, Any]:
    """The record of a reply: `answer`, its text; `cut` if it was cut; `gap` if it is none."""
    try:
        choice = reply["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text = _text(message)
        refusal = message.get("refusal")
    except (LookupError, TypeError, AttributeError) as error:
        # A filter of some servers leaves a reply without choices.
        if re.search(r"block.?reason|content.?filter", json.dumps(reply), re.IGNORECASE):
            return {"answer": None, "gap": f"{REFUSED}: {excerpt(json.dumps(reply))}"}
        raise Unreadable(excerpt(json.dumps(reply))) from error
    record: dict[str, Any] = {"answer": text}
    if refusal or str(reason).lower() in FILTERED:
        record["gap"] = f"{REFUSED}: {excerpt(str(refusal or reason))}"
    if str(reason).lower() in CUT:
        record["cut"] = True
    return record


def _text(message: dict[str, Any]) -> str | None:
    """The text of a message that may be a list of parts, or arguments of a tool's call.

    A model's reasoning is in separate keys, which are not read.
    """
    content = message.get("content")
    if isinstance(content, list):
        parts = [{"text": part} if isinstance(part, str) else part for part in content]
        plain = ("text", "output_text")
        texts = [part.get("text") for part in parts if part.get("type", "text") in plain]
        content = "".join(text for text in texts if isinstance(text, str))
    if content:
        return content if isinstance(content, str) else json.dumps(content)
    calls = [call.get("function") for call in message.get("tool_calls") or []]
    for call in [*calls, message.get("function_call")]:
        if call and call.get("arguments"):
            arguments = call["arguments"]
            return arguments if isinstance(arguments, str) else json.dumps(arguments)
    return content


def verdict(text: str) -> float | None:
    """1 for an answer that says yes, 0 for no, None where it says neither, or both.

    It reads what follows a model's thoughts: a JSON value, the text after the word answer, and
    the first and the last word.
    """
    text = CLOSED.split(text)[-1]
    if UNCLOSED.search(text):
        return None
    text = unicodedata.normalize("NFKC", text).strip().lower()
    fenced = re.search(r"```(?:json)?\s*(.*?)\s*```", text, re.DOTALL)
    inner = fenced[1] if fenced else text
    try:
        return _of_json(json.loads(inner))
    except (ValueError, RecursionError):
        pass
    if fenced and len(fenced[0]) > len(text) / 2:
        text = inner
    marks = list(MARKED.finditer(text))[-1:]
    if not marks:
        marks = [mark for mark in (STARTS.match(text), ENDS.search(text[-TAIL:])) if mark]
    if any(_is_negated(mark) for mark in marks):
        return None
    words = [mark[1] for mark in marks]
    return float(words[0] == "yes") if len(set(words)) == 1 else None


def _is_negated(mark: re.Match[str]) -> bool:
    """Whether the clause of a yes or no denies it."""
    before, after = mark.string[: mark.end(1)][-TAIL:], mark.string[mark.end(1) :][:TAIL]
    clause = re.split(r"[.!?,;:\n]|\b(?:so|thus|hence|therefore)\b", before)[-1]
    return bool(NEGATION.search(clause) or DENIAL.match(after))


def _of_json(value: Any) -> float | None:
    """What a JSON answer says: true, "yes", or the one such value of an object or list."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return verdict(value) if value else None
    if isinstance(value, dict):
        if "answer" in value:
            return _of_json(value["answer"])
        value = list(value.values())
    if isinstance(value, list):
        plain = [item for item in value if isinstance(item, bool) or _whole(item)]
        verdicts = {_of_json(item) for item in plain}
        return verdicts.pop() if len(verdicts) == 1 else None
    return None


def _whole(value: Any) -> bool:
    """Whether a value is no more than yes or no."""
    return isinstance(value, str) and bool(re.fullmatch(r"[\W_]*(yes|no)[\W_]*", value))
