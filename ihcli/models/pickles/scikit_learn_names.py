"""What of scikit-learn and numpy's functions may be named in a file: classes that are not imported, names never called.

Classes of scikit-learn 0.20 and later; older releases kept them in modules without underscore.
"""

from dataclasses import dataclass

SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
SEARCHES = {
    "GridSearchCV": "best_estimator_",
    "RandomizedSearchCV": "best_estimator_",
    "HalvingGridSearchCV": "best_estimator_",
    "HalvingRandomSearchCV": "best_estimator_",
    "TunedThresholdClassifierCV": "estimator_",
    "FixedThresholdClassifier": "estimator_",
    "RANSACRegressor": "estimator_",
    "FrozenEstimator": "estimator",
}
"""Classes around an estimator, whose probabilities and predictions are its own, and the attribute that has it."""
TARGET = "TransformedTargetRegressor"
AROUND = SEARCHES | {TARGET: "regressor_"}
"""The same with that around a regressor whose target is transformed."""
NETWORKS = ("MLPClassifier", "MLPRegressor")
_LINEAR_HOMES: dict[str, tuple[str, ...]] = {
    "sklearn.linear_model._logistic": ("LogisticRegression", "LogisticRegressionCV"),
    "sklearn.linear_model._stochastic_gradient": ("SGDClassifier", "SGDRegressor"),
    "sklearn.linear_model._perceptron": ("Perceptron",),
    "sklearn.linear_model._passive_aggressive": ("PassiveAggressiveClassifier", "PassiveAggressiveRegressor"),
    "sklearn.linear_model._ridge": ("Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV"),
    "sklearn.linear_model._base": ("LinearRegression",),
    "sklearn.linear_model._coordinate_descent": (
        *("Lasso", "LassoCV", "ElasticNet", "ElasticNetCV"),
        *("MultiTaskLasso", "MultiTaskLassoCV", "MultiTaskElasticNet", "MultiTaskElasticNetCV"),
    ),
    "sklearn.linear_model._least_angle": ("Lars", "LarsCV", "LassoLars", "LassoLarsCV", "LassoLarsIC"),
    "sklearn.linear_model._omp": ("OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV"),
    "sklearn.linear_model._bayes": ("BayesianRidge", "ARDRegression"),
    "sklearn.linear_model._huber": ("HuberRegressor",),
    "sklearn.linear_model._quantile": ("QuantileRegressor",),
    "sklearn.linear_model._theil_sen": ("TheilSenRegressor",),
    "sklearn.linear_model._glm.glm": ("PoissonRegressor", "GammaRegressor", "TweedieRegressor"),
    "sklearn.svm._classes": ("LinearSVC", "LinearSVR"),
    "sklearn.discriminant_analysis": ("LinearDiscriminantAnalysis",),
}
LINEAR_MODELS = tuple(name for names in _LINEAR_HOMES.values() for name in names)
LINEAR_CLASSIFIERS = (
    *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "Perceptron", "PassiveAggressiveClassifier"),
    *("RidgeClassifier", "RidgeClassifierCV", "LinearSVC", "LinearDiscriminantAnalysis"),
)
SUPPORT_CLASSIFIERS, _SUPPORT_REGRESSORS = ("SVC", "NuSVC"), ("SVR", "NuSVR")
KERNEL_MACHINES = (*SUPPORT_CLASSIFIERS, *_SUPPORT_REGRESSORS, "GaussianProcessRegressor")
FUNCTIONS = (
    *("log", "log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt", "square", "absolute", "fabs", "negative"),
    *("positive", "reciprocal", "sin", "cos", "tanh", "sinh", "cosh", "arctan", "arcsinh", "arctanh"),
)
"""Element-wise functions of numpy that mean the same in torch."""

_PREPROCESSING = "sklearn.preprocessing"
_HOMES: dict[str, tuple[str, ...]] = {
    **_LINEAR_HOMES,
    "sklearn.svm._classes": (*_LINEAR_HOMES["sklearn.svm._classes"], *SUPPORT_CLASSIFIERS, *_SUPPORT_REGRESSORS),
    "sklearn.gaussian_process._gpr": ("GaussianProcessRegressor",),
    "sklearn.gaussian_process.kernels": (
        *(
            "Sum",
            "Product",
            "Exponentiation",
            "ConstantKernel",
            "WhiteKernel",
            "RBF",
            "RationalQuadratic",
            "DotProduct",
        ),
        *("Matern", "ExpSineSquared"),
    ),
    "sklearn.linear_model._ransac": ("RANSACRegressor",),
    "sklearn.frozen._frozen": ("FrozenEstimator",),
    "sklearn.pipeline": ("Pipeline", "FeatureUnion"),
    "sklearn.compose._column_transformer": ("ColumnTransformer", "make_column_selector", "_RemainderColsList"),
    "sklearn.compose._target": (TARGET,),
    f"{_PREPROCESSING}._data": SCALERS,
    f"{_PREPROCESSING}.data": SCALERS,
    f"{_PREPROCESSING}._label": ("LabelBinarizer", "LabelEncoder"),
    f"{_PREPROCESSING}.label": ("LabelBinarizer", "LabelEncoder"),
    f"{_PREPROCESSING}._encoders": ("OneHotEncoder", "OrdinalEncoder"),
    f"{_PREPROCESSING}._target_encoder": ("TargetEncoder",),
    f"{_PREPROCESSING}._function_transformer": ("FunctionTransformer",),
    "sklearn.impute._base": ("SimpleImputer", "MissingIndicator"),
    "sklearn.decomposition._pca": ("PCA",),
    "sklearn.decomposition._incremental_pca": ("IncrementalPCA",),
    "sklearn.decomposition._truncated_svd": ("TruncatedSVD",),
    "sklearn.feature_selection._univariate_selection": (
        *("SelectKBest", "SelectPercentile", "f_classif", "f_regression", "chi2"),
    ),
    "sklearn.feature_selection._mutual_info": ("mutual_info_classif", "mutual_info_regression"),
    "sklearn.feature_selection._variance_threshold": ("VarianceThreshold",),
    "sklearn.model_selection._search": ("GridSearchCV", "RandomizedSearchCV"),
    "sklearn.model_selection._search_successive_halving": ("HalvingGridSearchCV", "HalvingRandomSearchCV"),
    "sklearn.model_selection._classification_threshold": ("TunedThresholdClassifierCV", "FixedThresholdClassifier"),
    **{
        f"{prefix}multilayer_perceptron": NETWORKS for prefix in ("sklearn.neural_network._", "sklearn.neural_network.")
    },
    **{
        f"{prefix}stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer")
        for prefix in ("sklearn.neural_network._", "sklearn.neural_network.")
    },
}
_TYPES = (
    *("number", "integer", "floating", "bool", "bool_", "object_", "str_"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"),
)
_HOMES_OF_FUNCTIONS = (
    *("numpy", "numpy._core._multiarray_umath", "numpy.core._multiarray_umath"),
    *("numpy._core.umath", "numpy.core.umath"),
)


@dataclass(frozen=True)
class Named:
    """A function or type that an estimator keeps by its name; nothing can call it."""

    name: str


def class_names() -> dict[tuple[str, str], str]:
    """Return the class that every (module, name) stands for."""
    return {(home, name): name for home, names in _HOMES.items() for name in names}


def named_values() -> dict[tuple[str, str], Named]:
    """Return the functions and types that estimators keep."""
    names = {("numpy", name): Named(name) for name in _TYPES}
    names |= {("builtins", name): Named(name) for name in ("float", "int", "bool", "str")}
    return names | {(home, name): Named(name) for home in _HOMES_OF_FUNCTIONS for name in FUNCTIONS}
