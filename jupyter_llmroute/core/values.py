"""The base of every value that stages hand on."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value of ours: equal by content, and an unknown field is a mistake."""

    # pydantic before 2.10 warns of every field whose name begins with "model_".
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Answered(BaseModel):
    """A value read from a server's answer: what we do not know there is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())
