# Named targets: fig_NAME and table_NAME for each entry of `figures` and `tables`, and `paper` (by
# another name, `paper_small`) for those of the paper.

PAPER, OWN = PLAN.displays(paper=True), PLAN.displays(paper=False)
OWN_EXPERIMENTS = PLAN.own_experiments()


rule paper:
    """Every experiment of the paper, at the size that the config's budget gives."""
    input:
        with_intermediates(PAPER, PLAN.paper_experiments()),
        "results/tables/scorer_card.csv",


rule paper_small:
    """The same: every experiment of the paper; small unless another config file is chosen."""
    input:
        rules.paper.input,


for section, name in PAPER + OWN:

    rule:
        name:
            target(section, name)
        input:
            with_intermediates([(section, name)], PLAN.experiments_of([(section, name)])),

    about = config[section][name]
    place = f" ({about['paper']})" if "paper" in about else ""
    # A workflow that takes this one in as a module gives its rules other names.
    named = workflow.modifier.modify_rulename(target(section, name))
    workflow.get_rule(named).docstring = f"{about['title']}{place}"
