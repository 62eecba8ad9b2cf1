# For mypy where the interfaces are not built: colcon generates this module, and it has no types.
from typing import Any

def __getattr__(name: str) -> Any: ...
