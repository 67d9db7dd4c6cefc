"""The four kinds of work a question can ask for."""

from enum import StrEnum


class Task(StrEnum):
    """What the wanted result of a question is.

    The borders are those of the labelled requests that the classifier is measured on: "fix it" is coding,
    "what is wrong here?" is analysis, "explain this function" is documentation, "why is it done so" is reasoning.
    """

    CODING = "coding"
    """Code, or a change to code, configuration or data."""
    REASONING = "reasoning"
    """Knowledge, comparison, design, planning, mathematics."""
    ANALYSIS = "analysis"
    """A judgement on existing code, behaviour or logs."""
    DOCUMENTATION = "documentation"
    """Docstrings, summaries, explanations of existing code."""
