"""Why something about products, lots and inspections is refused: each cause has its code."""

from production.services.orders import NotPossible


class Refused(NotPossible):
    """A rule forbids it; `code` names the rule, the text is for people."""

    code = "not_possible"


class Unknown(Refused):
    """Something is named that this factory does not have."""

    def __init__(self, what: str, name: object) -> None:
        super().__init__(f"There is no {what} {name}.")
        self.code = f"unknown_{what.replace(' ', '_')}"


class Taken(Refused):
    """A number or code is in use for something else."""

    code = "taken"


class IllegalStep(Refused):
    """The thing is in a state from which this cannot happen."""

    code = "illegal_step"


class RequestUsed(Refused):
    """The id of the request was used for something else before."""

    code = "request_used"

    def __init__(self) -> None:
        super().__init__("This request was used for something else before.")


class Invalid(Refused):
    """A value is missing or makes no sense."""

    code = "invalid"
