"""scikit-learn's own checks, all of them.

The quick tests train a small model for an epoch: what the checks ask does not depend
on the size. The slow one takes the defaults, as a user would.
"""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cpc import CPCTransformer

SMALL = {"latent_size": 8, "context_size": 8, "max_epochs": 1}


def assert_all_pass(estimator):
    results = estimator_checks.check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(results) >= 40
    assert {result["status"] for result in results} == {"passed"}


def test_no_check_is_skipped_or_expected_to_fail():
    assert_all_pass(CPCTransformer(**SMALL | {"max_epochs": 0}))


@pytest.mark.slow
def test_all_checks_pass_with_the_defaults():
    assert_all_pass(CPCTransformer())


@parametrize_with_checks([CPCTransformer(**SMALL)])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "name",
    [
        "check_dataframe_column_names_consistency",
        "check_get_feature_names_out_error",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_n_features_in_after_fitting",
        "check_param_validation",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
    ],
)
# These checks fit with column names and transform without, or the other way.
@pytest.mark.filterwarnings(
    "ignore:X (has|does not have valid) feature names:UserWarning"
)
def test_checks_that_check_estimator_leaves_out(name):
    estimator = CPCTransformer(**SMALL)
    getattr(estimator_checks, name)("CPCTransformer", estimator)
