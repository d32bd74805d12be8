import numpy as np

from mlops.tabular.reasons import reasons_for
from mlops.tabular.table import Table
from mlops.trees import OnnxModel


def reasons(trained, values):
    table = Table(trained.model.columns, np.array([values]))
    onnx = OnnxModel(trained.model.serialised)
    return reasons_for(model=trained.model, table=table, row=0, onnx=onnx)


def test_the_parameters_of_an_overload_are_named(trained):
    found = reasons(trained, [62.0, 200.0, 50.0, 0.0])

    assert {reason.column for reason in found[:2]} == {"torque", "speed"}
    assert found[0].is_unusual
    assert found[0].effect > 1


def test_a_category_is_given_by_its_name(trained):
    (supplier,) = [r for r in reasons(trained, [58.0, 110.0, 50.0, 1.0]) if r.column == "supplier"]

    assert (supplier.value, supplier.usual) == ("B", "A")
    assert supplier.probability_without < 0.5


def test_a_usual_case_has_weak_reasons(trained):
    assert all(reason.effect < 1.5 for reason in reasons(trained, [39.0, 150.0, 50.0, 0.0]))
