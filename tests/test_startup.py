"""What a run over a table does without: data frames, knowledge of symbolic shapes, bars, libraries of other models."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from model_files import network, rows, save_script

HEAVY = (
    *("pandas", "sympy", "torch.fx.experimental.symbolic_shapes", "torch._dynamo", "matplotlib", "plotly", "rich"),
    *("sklearn", "transformers", "duckdb", "ray"),
)
CODE = """
import json, sys
from ihcli.cli import main
found = []
for command in json.load(sys.stdin):
    main(["explain", *command], standalone_mode=False)
    found.append([name for name in sys.argv[1:] if name in sys.modules])
print(json.dumps(found))
"""


def test_runs_over_tables_import_nothing_heavy_beside_torch(tmp_path: Path) -> None:
    model = save_script(network(), tmp_path / "model.pt")
    values = dict(zip(("age", "bmi", "dose"), rows(40).numpy().T, strict=True))
    table = pa.table({"id": [f"P{i}" for i in range(40)], **values, "class": np.arange(40) % 2})
    holed = table.set_column(1, "age", pa.array([None, *values["age"][1:]], pa.float32()))
    pq.write_table(table, tmp_path / "data.parquet")
    pq.write_table(holed, tmp_path / "holed.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "data.csv")
    keyed = ["--key", "id", "--exclude", "class"]
    commands = [
        ["data.parquet", *keyed],
        ["data.csv", *keyed, "-m", "eh", "--target", "all", "--interactions", "top:2"],
        ["holed.parquet", *keyed, "-m", "eg", "--baseline-rows", "5", "--missing", "flag"],
        ["data.parquet", "--key", "id", "-m", "ig", "--label", "class", "--target", "label", "--baseline", "mean"],
    ]
    asked = [
        [str(model), str(tmp_path / data), *options, "-o", str(tmp_path / f"run{i}")]
        for i, (data, *options) in enumerate(commands)
    ]
    ran = subprocess.run(
        [sys.executable, "-c", CODE, *HEAVY], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [[]] * len(commands)
