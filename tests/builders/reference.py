"""Activation addition in the plainest PyTorch: one prompt, no cache, no padding, no library code.

Every step re-reads the whole text; a hook adds the vectors at fixed prompt positions each time.
"""

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


def steered_logits(model, blocks, ids, places):
    """Last-position logits; `places` is a list of (layer, first position, rows [n, d_model])."""
    handles = []
    for layer, first, rows in places:

        def change(_module, args, kwargs, first=first, rows=rows):
            hidden = (args[0] if args else kwargs["hidden_states"]).clone()
            hidden[0, first : first + len(rows)] += rows
            if args:
                return (hidden, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": hidden}

        handles.append(blocks[layer].register_forward_pre_hook(change, with_kwargs=True))
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
    for handle in handles:
        handle.remove()
    return logits


def greedy(model, blocks, ids, places, steps):
    """The greedy continuation of one prompt as a list of token ids."""
    ids = list(ids)
    prompt = len(ids)
    for _ in range(steps):
        ids.append(int(steered_logits(model, blocks, ids, places).argmax()))
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
