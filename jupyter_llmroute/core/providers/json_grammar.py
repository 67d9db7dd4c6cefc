"""JSON as a grammar, for servers that are held to a form by a grammar alone (GBNF, as llama.cpp reads it)."""

JSON_OBJECT = r"""root ::= object
value ::= (object | array | string | number | "true" | "false" | "null") blank
object ::= "{" blank (member ("," blank member)*)? "}"
member ::= string blank ":" blank value
array ::= "[" blank (value ("," blank value)*)? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex))* "\""
hex ::= [0-9a-fA-F]
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
blank ::= (" " | "\n" indent)?
indent ::= (" " indent)?
"""
"""One object, and nothing behind it; blanks are few, so that an answer cannot consist of them."""
