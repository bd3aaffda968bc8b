import math

from insights.compiled import compiled


def test_a_function_without_any_place_for_its_cache_is_compiled_all_the_same() -> None:
    namespace: dict[str, object] = {"math": math}
    source = compile("def root(x):\n    return math.sqrt(x)\n", "<nowhere>", "exec")
    exec(source, namespace)  # noqa: S102 - code without a file, which numba cannot cache
    assert compiled(namespace["root"])(9.0) == 3.0  # type: ignore[arg-type]
