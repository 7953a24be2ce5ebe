"""Activation addition in the plainest PyTorch: one prompt, no cache, no padding, no library code.

Every step re-reads the whole text; a hook adds the vectors at fixed prompt positions each time.
"""

import math

import torch


def stream_at(model, blocks, ids, layer):
    """resid_pre of one text at one layer, [tokens, d_model]."""
    seen = []

    def look(_module, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])

    handle = blocks[layer].register_forward_pre_hook(look, with_kwargs=True)
    with torch.no_grad():
        model(torch.tensor([ids]), use_cache=False)
    handle.remove()
    return seen[0][0].clone()


def changed_logits(model, blocks, ids, changes):
    """Logits [tokens, vocabulary]; changes: (layer, function that changes its stream in place).

    The function gets the stream [tokens, d_model] at the input of the layer's block.
    """
    handles = []
    for layer, function in changes:

        def change(_module, args, kwargs, function=function):
            hidden = (args[0] if args else kwargs["hidden_states"]).clone()
            function(hidden[0])
            if args:
                return (hidden, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": hidden}

        handles.append(blocks[layer].register_forward_pre_hook(change, with_kwargs=True))
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    return logits


def steered_logits(model, blocks, ids, places):
    """Last-position logits; `places` is a list of (layer, first position, rows [n, d_model])."""

    def adding(first, rows):
        def add(stream):
            stream[first : first + len(rows)] += rows

        return add

    changes = [(layer, adding(first, rows)) for layer, first, rows in places]
    return changed_logits(model, blocks, ids, changes)[-1]


def greedy(model, blocks, ids, places, steps):
    """The greedy continuation of one prompt as a list of token ids."""
    ids = list(ids)
    prompt = len(ids)
    for _ in range(steps):
        ids.append(int(steered_logits(model, blocks, ids, places).argmax()))
    return ids[prompt:]


# What operations make of one position's stream s [d_model], by a vector v and a strength; written
# in other forms than the library's.
OPERATIONS = {
    "add": lambda s, v, strength: s + strength * v,
    "add_preserving_norm": lambda s, v, strength: (
        torch.nn.functional.normalize(s + strength * v, dim=0) * s.norm()
    ),
    "ablate": lambda s, v, strength: s - strength * (torch.outer(v, v) / (v @ v)) @ s,
    "clamp": lambda s, v, strength: s - (torch.outer(v, v) / (v @ v)) @ s + strength * v / v.norm(),
    "rotate": lambda s, v, strength: slerp(s, v, math.radians(strength)),
}


def slerp(s, v, angle):
    """s, turned by an angle towards v."""
    between = torch.arccos((s @ v) / (s.norm() * v.norm()))
    aims = torch.sin(between - angle) * s / s.norm() + math.sin(angle) * v / v.norm()
    return s.norm() * aims / torch.sin(between)


def operated_logits(model, blocks, ids, acts):
    """Logits [tokens, vocabulary]; acts: (layer, position, operation, vector, strength), in order.

    A vector that is zero does nothing.
    """

    def acting(position, operation, vector, strength):
        def act(stream):
            if position < len(stream) and vector.any():
                stream[position] = OPERATIONS[operation](stream[position], vector, strength)

        return act

    return changed_logits(model, blocks, ids, [(layer, acting(*act)) for layer, *act in acts])


def greedy_operated(model, blocks, ids, acts, steps):
    """The greedy continuation of one prompt; acts as for `operated_logits`."""
    ids = list(ids)
    prompt = len(ids)
    for _ in range(steps):
        ids.append(int(operated_logits(model, blocks, ids, acts)[-1].argmax()))
    return ids[prompt:]


def draw(logits, text, uniform, *, temperature, top_p, frequency_penalty):
    """The authors' sampler for one row: penalty for what stands in `text`, top-p, one draw."""
    scores = logits.double() / temperature
    for token in text:
        scores[token] -= frequency_penalty
    probabilities, tokens = scores.softmax(0).sort(descending=True)
    before = probabilities.cumsum(0) - probabilities
    kept = torch.where(before > top_p, 0.0, probabilities)
    reached = kept.cumsum(0)
    return int(tokens[int((reached <= uniform * reached[-1]).sum())])


def contrasted(model, prompt_ids, contrasted_ids, strength, uniforms, sampling):
    """PREADD (Pei et al. 2023) for one prompt: both contexts read whole, each alone, at each step.

    prompt_ids, contrasted_ids: token ids of the prompt and of the contrasted context.
    """
    prompt = len(prompt_ids)
    prompt_ids, contrasted_ids = list(prompt_ids), list(contrasted_ids)
    for uniform in uniforms:
        logits, contrasted_logits = (
            steered_logits(model, None, ids, []) for ids in (prompt_ids, contrasted_ids)
        )
        token = draw(
            logits + strength * (contrasted_logits - logits), prompt_ids, uniform, **sampling
        )
        prompt_ids.append(token)
        contrasted_ids.append(token)
    return prompt_ids[prompt:]
