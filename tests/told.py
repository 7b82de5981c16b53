"""What an error tells: the tests look for secrets in it."""

from __future__ import annotations

import traceback


def told(error: BaseException) -> str:
    """Returns all that a log may show of an error: its words, its causes and their insides."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        if chain[-1].__suppress_context__ and chain[-1].__cause__ is None:
            break
        chain.append(cause)
    fields = [repr(vars(one)) for one in chain]
    return "".join(traceback.format_exception(error)) + "".join([*map(repr, chain), *fields])
