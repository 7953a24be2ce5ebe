"""The page of `actadd serve`: one model, one prompt, steered and not, token by token.

request.py     what the page asks for, checked.
session.py     the loaded model: what is added, completions one after another. Knows no HTTP.
entry.py       the settings of the page as a config, which reproduces its completions.
application.py the page's addresses, and who may ask for them.
page.*         the page; its look is the explorer's.
"""
