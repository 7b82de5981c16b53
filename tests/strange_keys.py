"""Keys that somebody else's tools write, and that nobody would choose."""

from __future__ import annotations

UNPRINTABLE = {
    "narrow no-break space": "Screenshot at 1.01\u202fAM.png",
    "no-break space": "v\u00a013.05.png",
    "ideographic space": "月次\u3000報告.csv",
    "joined emoji": "team 👨\u200d👩\u200d👧.png",
    "newer emoji": "\U0001fae8.png",
    "zero-width non-joiner": "a\u200cb.txt",
    "byte order mark": "\ufeffdata.csv",
    "private use": "\uf8ff.txt",
    "right-to-left override": "\u202etxt.exe",
    "line separator": "a\u2028b",
    "tab": "a\tb",
    "delete": "a\x7fb",
    "next line": "a\x85b",
}
OF_ADDRESSES = {
    "question mark": "q?x=1.txt",
    "percent": "50%.csv",
    "percent-encoded": "a%2Fb%20c.txt",
    "hash": "h#frag.txt",
    "plus": "a+b.txt",
    "at sign": "me@host.txt",
    "scheme": "k://y",
    "blanks at the ends": " a ",
    "entity": "<xml>&amp;.txt",
    "backslash": "back\\slash.txt",
    "brackets": "br[1].txt",
    "star": "star*.txt",
}
SLASHES = {
    "two slashes": "a//b",
    "four slashes": "a////b",
    "leading slash": "/lead",
    "leading slashes": "//lead",
    "two slashes, then a folder": "a//d/b",
}
STEPS = {
    "part of one dot": "a/./b",
    "part of two dots": "a/../b",
    "one dot first": "./b",
    "two dots first": "../b",
    "two dots twice": "../../b",
    "one dot last": "a/.",
    "two dots last": "a/..",
}
STRANGE = {**UNPRINTABLE, **OF_ADDRESSES, **SLASHES, **STEPS}
"""Keys by what is strange in them; tests put them below a folder of their own."""
