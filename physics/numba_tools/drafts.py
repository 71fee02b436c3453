"""How helpers of kernels are compiled: as drafts, which only the kernel that takes them in is polished with.

Numba optimises every function on its own and again inside each of its callers, so that a helper five calls
deep is optimised five times. A draft is not optimised at all; inlined, it is optimised once with its kernel,
which then also runs faster, because nothing of it was settled before its surroundings were known.

All of this stands on parts of Numba that it promises to nobody: `inlining.py` says with which releases it
was tried, and what is done with others. An import of this module fails where a part is missing.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass

#: Named here, so that a release without them fails at import and not within a kernel.
_NEEDED = (
    JITCodeLibrary._optimize_final_module,
    JITCodeLibrary._finalize_final_module,
    JITCodeLibrary._finalize_dynamic_globals,
    DefaultPassBuilder.define_nopython_pipeline,
)


class _NoEngine:
    """Numba's code generator without what only loaded machine code has: a place for its environment."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, env_name: str, env: Any) -> None:
        """Nothing to set."""


class _Draft(JITCodeLibrary):
    """Code that waits for its caller."""

    @property
    def codegen(self) -> Any:
        """What compiles it."""
        return _NoEngine(self._codegen)

    def _optimize_final_module(self) -> None:
        """Left to the caller."""

    def _finalize_final_module(self) -> None:
        """No machine code: nobody calls it before it is part of a kernel."""
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _AsDraft(LoweringPass):
    """Gives the function a library of drafts to be lowered into."""

    _name = "distgrid_as_draft"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Numba's own lowering makes a library only where there is none."""
        state.library = _Draft(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return True


class DraftCompiler(CompilerBase):
    """Numba's pipeline for typed code, ending in a draft."""

    def define_pipelines(self) -> list[Any]:
        """The default passes with one more before the last, which lowers."""
        builder = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lowering = [getattr(each, "__name__", type(each).__name__) for each, _ in builder.passes]
        before = lowering.index("NativeLowering") - 1
        builder.add_pass_after(_AsDraft, builder.passes[before][0])
        builder.finalize()
        return [builder]
