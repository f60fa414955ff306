"""scikit-learn: which class is imported by which function. A fitted estimator is passed, so the library is there."""

from __future__ import annotations

_FUNCTIONS = {
    "compose:pipeline": "Pipeline",
    "compose:column_transformer": "ColumnTransformer",
    "compose:feature_union": "FeatureUnion",
    "compose:function_transformer": "FunctionTransformer",
    "preprocess:standard_scaler": "StandardScaler",
    "preprocess:min_max_scaler": "MinMaxScaler",
    "preprocess:max_abs_scaler": "MaxAbsScaler",
    "preprocess:robust_scaler": "RobustScaler",
    "preprocess:normalizer": "Normalizer",
    "preprocess:binarizer": "Binarizer",
    "preprocess:simple_imputer": "SimpleImputer",
    "preprocess:missing_indicator": "MissingIndicator",
    "preprocess:polynomial_features": "PolynomialFeatures",
    "preprocess:power_transformer": "PowerTransformer",
    "preprocess:quantile_transformer": "QuantileTransformer",
    "preprocess:k_bins": "KBinsDiscretizer",
    "preprocess:checked_selector": "SelectKBest SelectPercentile SelectFpr SelectFdr SelectFwe GenericUnivariateSelect "
    "SelectFromModel SequentialFeatureSelector VarianceThreshold",
    "encoders:one_hot_encoder": "OneHotEncoder",
    "encoders:ordinal_encoder": "OrdinalEncoder",
    "encoders:target_encoder": "TargetEncoder",
    "linear:regressor": "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV SGDRegressor LinearSVR "
    "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV BayesianRidge "
    "ARDRegression HuberRegressor TheilSenRegressor QuantileRegressor PassiveAggressiveRegressor MultiTaskLasso "
    "MultiTaskLassoCV MultiTaskElasticNet MultiTaskElasticNetCV",
    "linear:generalized": "PoissonRegressor GammaRegressor TweedieRegressor",
    "linear:logistic_regression": "LogisticRegression LogisticRegressionCV",
    "linear:sgd_classifier": "SGDClassifier",
    "linear:discriminant": "LinearDiscriminantAnalysis",
    "linear:classifier": "Perceptron LinearSVC RidgeClassifier RidgeClassifierCV PassiveAggressiveClassifier",
    "svm:svm_classifier": "SVC NuSVC",
    "svm:svm_regressor": "SVR NuSVR",
    "svm:one_class_svm": "OneClassSVM",
    "tree:single_tree": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
    "tree:random_forest": "RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor",
    "tree:gradient_boosting": "GradientBoostingClassifier GradientBoostingRegressor",
    "tree:isolation_forest": "IsolationForest",
    "hist:hist_gradient_boosting": "HistGradientBoostingClassifier HistGradientBoostingRegressor",
    "ensemble:ada_boost_classifier": "AdaBoostClassifier",
    "ensemble:ada_boost_regressor": "AdaBoostRegressor",
    "ensemble:bagging_classifier": "BaggingClassifier",
    "ensemble:bagging_regressor": "BaggingRegressor",
    "ensemble:voting_classifier": "VotingClassifier",
    "ensemble:voting_regressor": "VotingRegressor",
    "ensemble:calibrated_classifier": "CalibratedClassifierCV",
    "ensemble:multi_output": "MultiOutputClassifier MultiOutputRegressor",
    "neighbors:k_neighbors_classifier": "KNeighborsClassifier",
    "neighbors:k_neighbors_regressor": "KNeighborsRegressor",
    "neighbors:nearest_centroid": "NearestCentroid",
    "neighbors:k_means": "KMeans MiniBatchKMeans",
    "naive_bayes:gaussian": "GaussianNB",
    "naive_bayes:multinomial": "MultinomialNB",
    "naive_bayes:complement": "ComplementNB",
    "naive_bayes:bernoulli": "BernoulliNB",
    "naive_bayes:categorical": "CategoricalNB",
    "projection:pca": "PCA IncrementalPCA",
    "projection:truncated_svd": "TruncatedSVD",
    "network:mlp_classifier": "MLPClassifier",
    "network:mlp_regressor": "MLPRegressor",
}

#: "sklearn.Class" -> "module:function"
CLASSES = {f"sklearn.{name}": f"sklearn.{path}" for path, names in _FUNCTIONS.items() for name in names.split()}
