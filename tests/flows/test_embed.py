from pathlib import Path
from tests.flows.running import *
import time, os
def test_one(tmp_path: Path, monkeypatch) -> None:
    X = points()
    def fake(report, write):
        import psutil
        for c in psutil.Process().net_connections():
            if c.status=="LISTEN": print("LISTEN", c.laddr, flush=True)
        for ch in psutil.Process().children(recursive=True):
            for c in ch.net_connections():
                if c.status=="LISTEN": print("child", ch.cmdline()[-3:], c.laddr, flush=True)
        write("index.html", b"x")
    monkeypatch.setattr("flows.reporting.write_report", fake)
    for i in range(3):
        if i==2: monkeypatch.setattr("flows.runtime.IN_PROCESS_BYTES", 0)
        t=time.time()
        r = run_embed(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / f"out{i}.zarr"))
        print(time.time()-t, flush=True)
