from __future__ import annotations

import contextlib
import errno

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Claim, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import put
from store_twin import IDS, StoreTwin
from tinydb_world import open_store, with_folders


class Twin(StoreTwin):
    """A store on a forgetful disk equals a plain dict after any sequence of operations and failures."""

    def __init__(self) -> None:
        self.disk = with_folders(FakeDisk())
        super().__init__()

    def _open(self) -> None:
        self.store = self._run(open_store(self.disk))

    @rule(id_=IDS, call=st.sampled_from(["write", "sync"]), code=st.sampled_from([errno.ENOSPC, errno.EIO]))
    def fail_write(self, id_: str, call: str, code: int) -> None:
        self._commit(Unit(now=1), succeeds=True)  # a repair after an earlier failure must not meet this one
        self.disk.fail(call, code)
        with pytest.raises((StorageFull, StorageUnavailable)):
            self._run(
                self.store.commit("north", Unit(now=1, puts=(put(id_),), claims=(Claim("nonce", "lost", b"{}"),)))
            )
        assert self._run(self.store.state("north")).mode == "read_only"

    @rule(call=st.sampled_from(["open", "write", "sync", "replace", "sync_folder"]), code=st.just(errno.ENOSPC))
    def fail_fold(self, call: str, code: int) -> None:
        self.disk.fail(call, code)
        with contextlib.suppress(StorageFull):  # nothing is written if there is nothing to fold
            self._run(self.store.fold("north"))
        self.disk.heal()

    @rule(survives=st.sampled_from(["synced", "half", "all"]))
    def crash(self, survives: str) -> None:
        after = self.disk.power_cut(survives)  # type: ignore[arg-type]
        self._run(self.store.close())
        self.disk = after
        self._open()


TestTwin = Twin.TestCase
TestTwin.settings = settings(max_examples=50, stateful_step_count=30)
