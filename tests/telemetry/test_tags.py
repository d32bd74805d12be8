from telemetry.tags import normalised


def test_a_capital_that_leaves_a_sign_behind_in_lower_case_is_a_letter_all_the_same():
    assert normalised(["İstanbul", "É", "spindle"]) == ["istanbul", "spindle", "é"]
