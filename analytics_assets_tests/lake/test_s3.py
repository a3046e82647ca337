"""A lake in a bucket, fed from a bucket, holds what a local one does: against a server that speaks S3."""

from __future__ import annotations

import datetime as dt
import gzip
import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from deltalake import DeltaTable

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.running import run
from analytics_assets.automation.runtime import open_lake
from analytics_assets.contracts.model import Column, Contract, InRange
from analytics_assets.lake.days import Days
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Computed, all_releases, commit_release, latest_release
from analytics_assets.lake.restoring import missing_files, restore
from analytics_assets.lake.tables import Lake
from analytics_assets.lake.vacuum import Vacuumed, vacuum
from analytics_assets.project.loading import load_project
from analytics_assets.settings import Settings
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.files import make_readable
from analytics_assets_tests.conftest import UNDRAWN
from analytics_assets_tests.making import NOON, day, feed, source, table

pytestmark = pytest.mark.skipif(
    find_spec("s3fs") is None or find_spec("moto") is None,
    reason="needs s3fs and a local S3 server: pip install 'analytics-assets[s3,dev]'",
)

STARTER = Path(__file__).resolve().parents[2] / "examples" / "starter"
KEY, SECRET, TOKEN = "the-key-id", "the-secret-key", "the-session-token"
REFUSAL = (
    "<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message>"
    f"<AWSAccessKeyId>{KEY}</AWSAccessKeyId><CanonicalRequest>x-amz-security-token:{TOKEN}</CanonicalRequest></Error>"
)
VISITS = Contract(
    table="visits",
    grain="one row a visit",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("id", "string", "the visit", nullable=False),
        Column("pages", "int32", "how many"),
    ),
    key=("id",),
    day="day",
    rules=(InRange("pages", minimum=0),),
)
FIRST, SECOND, THIRD = (Days(day(number), day(number)) for number in (1, 2, 3))
ALL = Days(day(1), day(3))


@dataclass
class Request:
    """One request that the server answered."""

    method: str
    path: str
    only_if_absent: bool

    @property
    def is_entry(self) -> bool:
        """Whether it puts an entry into a table's log."""
        return self.method == "PUT" and "/_delta_log/" in self.path


@dataclass
class Bucket:
    """A bucket on a server of this machine, which remembers what it was asked."""

    name: str = "bucket"
    requests: list[Request] = field(default_factory=list)
    refuses: bool = False
    """Answer every request as S3 does when a signature is wrong: with the request, as it understood it."""
    before_an_entry: Callable[[], object] | None = None
    """Done once, when the next entry of a log has arrived and is not yet put."""
    loses_an_answer: bool = False
    """Put the next entry of a log, and answer as if that had failed."""
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def system(self) -> Any:
        import fsspec

        return fsspec.filesystem("s3", use_listings_cache=False)

    def files(self, folder: str = "") -> list[str]:
        """Return the Parquet files in a folder of the bucket."""
        return [path for path in self.system.find(f"{self.name}/{folder}") if path.endswith(".parquet")]

    def asked(self, method: str) -> list[str]:
        """Return the Parquet files that the server was asked for by a method."""
        return [r.path for r in self.requests if r.method == method and r.path.endswith(".parquet")]

    def served_by(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., list[bytes]]:
        """Put the bucket's memory, and its refusal, before a WSGI application."""

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
            once = environ.get("HTTP_IF_NONE_MATCH") == "*"
            request = Request(environ["REQUEST_METHOD"], environ["PATH_INFO"], once)
            self.requests.append(request)
            if self.refuses:
                start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(REFUSAL)))])
                return [REFUSAL.encode()]
            if request.is_entry and self.before_an_entry:
                meanwhile, self.before_an_entry = self.before_an_entry, None
                meanwhile()
            lost = request.is_entry and self.loses_an_answer
            with self._one_at_a_time:  # S3 puts a file that must not exist in one step
                body = b"".join(application(environ, (lambda *_: None) if lost else start))
            if lost:
                self.loses_an_answer = False
                start("503 Slow Down", [("Content-Length", str(len(body)))])
            return [body]

        return answer


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """Give a bucket, and an environment that leads to it alone."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from s3fs import S3FileSystem
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    bucket = Bucket()
    server = make_server(
        "127.0.0.1", 0, bucket.served_by(DomainDispatcherApplication(create_backend_app)), threaded=True
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in Settings().environment if name.startswith("AWS_")]:
            patched.delenv(name)
        patched.setenv("AWS_ACCESS_KEY_ID", KEY)
        patched.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patched.setenv("AWS_SESSION_TOKEN", TOKEN)
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patched.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        patched.setenv("AWS_ALLOW_HTTP", "true")
        patched.setenv("NO_PROXY", "127.0.0.1")
        S3FileSystem.clear_instance_cache()
        bucket.system.mkdir(bucket.name)
        yield bucket
        S3FileSystem.clear_instance_cache()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def lake(bucket: Bucket) -> Iterator[Lake]:
    """Give a lake of the test's own, in a folder of the bucket."""
    settings = Settings(lake=f"{bucket.url}/{uuid.uuid4().hex}", memory="500MB", threads=1)
    with open_lake(settings, "visits") as opened:
        yield opened


def visit(number: int, key: str, pages: int = 1) -> dict[str, Any]:
    return {"day": day(number), "id": key, "pages": pages}


def publish(lake: Lake, days: Days, *records: Mapping[str, Any], contract: Contract = VISITS) -> int:
    return lake.publish(lake.stage(contract, table(contract, *records), days), "a run").version


def ids(lake: Lake, days: Days | None = None) -> list[str]:
    rows = lake.read(VISITS, days)
    return [row["id"] for row in lake.engine.rows(rows.order_by("id"))]


def stale(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Give a writer that begins with the tables as they are now."""
    late, seen = Lake(lake.root, lake.engine, Settings().storage_options), [lake.open(VISITS.table)]
    newest = late.open

    def opened(name: str, version: int | None = None) -> DeltaTable | None:
        return seen.pop() if seen else newest(name, version)

    monkeypatch.setattr(late, "open", opened)
    return late


@pytest.mark.slow
def test_days_are_published_and_read_without_a_look_at_others(bucket: Bucket, lake: Lake) -> None:
    publish(lake, ALL, visit(1, "a"), visit(2, "b"), visit(3, "c"))
    bucket.requests.clear()
    assert ids(lake, SECOND) == ["b"]
    assert {path.split("/")[-2] for path in bucket.asked("GET")} == {"day=2024-03-02"}
    assert ids(lake) == ["a", "b", "c"]
    assert lake.extent("visits").rows == 3
    assert bucket.asked("HEAD") == []  # one listing tells what a dozen questions about each file would
    bucket.requests.clear()
    assert ids(lake) == ["a", "b", "c"]
    assert bucket.asked("GET") == []


def test_exactly_the_days_are_replaced(lake: Lake) -> None:
    publish(lake, ALL, visit(1, "a"), visit(2, "b"), visit(3, "c"))
    version = publish(lake, Days(day(1), day(2)), visit(2, "new"))
    assert ids(lake) == ["c", "new"]
    assert [row["id"] for row in lake.engine.rows(lake.read(VISITS, version=version - 1).order_by("id"))] == [*"abc"]


def test_a_table_without_days_is_replaced_whole(lake: Lake) -> None:
    contract = replace(VISITS, day=None)
    publish(lake, ALL, visit(1, "a"), contract=contract)
    publish(lake, ALL, contract=contract)
    publish(lake, ALL, visit(2, "b"), contract=contract)
    assert [row["id"] for row in lake.engine.rows(lake.read(contract))] == ["b"]


@pytest.mark.slow
def test_a_table_follows_its_contract(lake: Lake) -> None:
    publish(lake, FIRST, visit(1, "a"))
    grown = replace(
        VISITS,
        columns=(*VISITS.columns[:2], Column("pages", "int64", "how many"), Column("device", "string", "on what")),
    )
    staged = lake.stage(grown, table(grown, {**visit(2, "b"), "device": "phone"}), SECOND)
    assert lake.publish(staged, "a run").evolved == (
        "visits followed its contract: gained device, widened pages from int32 to int64"
    )
    assert lake.engine.rows(lake.read(grown).order_by("id")) == [
        {**visit(1, "a"), "device": None},
        {**visit(2, "b"), "device": "phone"},
    ]


def test_readers_see_the_versions_of_a_release(lake: Lake) -> None:
    commit_release(lake, "first", {"visits": Computed(publish(lake, FIRST, visit(1, "a")))}, NOON)
    version = publish(lake, SECOND, visit(2, "b"))
    release = latest_release(lake)
    assert (release.number, release.run_id, release.versions) == (1, "first", {"visits": version - 1})
    assert lake.extent("visits", release.versions["visits"]).rows == 1
    assert commit_release(lake, "second", {"visits": Computed(version)}, NOON).number == 2


def test_what_broke_a_rule_leaves_the_bucket_again(bucket: Bucket, lake: Lake) -> None:
    publish(lake, FIRST, visit(1, "a"))
    before = bucket.files(lake.root.removeprefix(f"{bucket.url}/"))
    staged = lake.stage(VISITS, table(VISITS, visit(1, "bad", pages=-1), visit(2, "bad too")), ALL)
    assert len(bucket.files(lake.root.removeprefix(f"{bucket.url}/"))) == 3
    assert [finding.violations for finding in lake.audit(staged, {}).broken("error")] == [1]
    lake.discard(staged)
    assert bucket.files(lake.root.removeprefix(f"{bucket.url}/")) == before
    assert ids(lake) == ["a"]


# two writers


@pytest.mark.slow
def test_of_two_commits_of_one_version_one_wins(bucket: Bucket, lake: Lake) -> None:
    publish(lake, FIRST, visit(1, "a"))
    slow = lake.stage(VISITS, table(VISITS, visit(1, "slow")), FIRST)
    quick = lake.stage(VISITS, table(VISITS, visit(2, "quick")), SECOND)
    bucket.requests.clear()
    # the slow writer saw no newer version, and its entry is on the way to the bucket
    bucket.before_an_entry = lambda: lake.publish(quick, "a quick run")
    assert lake.publish(slow, "a slow run").version == 3
    assert ids(lake) == ["quick", "slow"]
    entries = [request for request in bucket.requests if request.is_entry]
    assert [entry.path[-6:] for entry in entries] == ["2.json", "2.json", "3.json"]
    assert all(entry.only_if_absent for entry in entries)


def test_a_commit_whose_answer_is_lost_is_made_once(bucket: Bucket, lake: Lake) -> None:
    publish(lake, ALL, visit(1, "a"), visit(2, "b"))
    bucket.loses_an_answer = True
    assert publish(lake, FIRST, visit(1, "new")) == lake.version("visits") == 2
    assert ids(lake) == ["b", "new"]


def test_a_writer_that_comes_second_replaces_its_days_on_the_newer_table(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, FIRST, visit(1, "a"))
    late = stale(lake, monkeypatch)
    publish(lake, FIRST, visit(1, "first"))
    assert publish(late, SECOND, visit(2, "late")) == 3
    assert ids(lake) == ["first", "late"]


@pytest.mark.slow
def test_two_writers_that_both_find_no_table_make_one(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    late = stale(lake, monkeypatch)
    publish(lake, FIRST, visit(1, "a"))
    publish(late, SECOND, visit(2, "b"))
    assert ids(lake) == ["a", "b"]


@pytest.mark.slow
def test_writers_at_once_all_come_in(lake: Lake) -> None:
    days = [Days(day(number), day(number)) for number in range(1, 7)]
    staged = [lake.stage(VISITS, table(VISITS, visit(d.first.day, f"v{d.first.day}")), d) for d in days]
    with ThreadPoolExecutor(len(days)) as pool:
        published = list(pool.map(lambda rows: lake.publish(rows, "a run").version, staged))
    assert sorted(published) == [1, 2, 3, 4, 5, 6]
    assert ids(lake) == [f"v{number}" for number in range(1, 7)]


# what goes wrong


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and what it says it came from, as a log would show them."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.slow
def test_a_vacuum_takes_from_a_bucket_what_no_release_shows(bucket: Bucket, lake: Lake) -> None:
    for number in range(1, 7):
        version = publish(lake, ALL, visit(1, "a", number), visit(2, "b", number))
        commit_release(lake, f"run {number}", {"visits": Computed(version, ALL)}, NOON + dt.timedelta(hours=number))
    lake.stage(VISITS, table(VISITS, visit(3, "never committed")), ALL)
    kept = {r.number: lake.fingerprint(VISITS, r.versions["visits"]) for r in all_releases(lake)[3:]}
    folder = f"{lake.root.removeprefix(f'{bucket.url}/')}/visits"
    assert len(data := [path for path in bucket.files(folder) if "_delta_log" not in path]) == 13

    def taken(*, dry_run: bool = False) -> Vacuumed:
        now = dt.datetime.now(dt.UTC)
        old = dt.timedelta(minutes=-1)
        return vacuum(lake, {"visits": VISITS}, "vacuum", now, dt.timedelta(), dry_run=dry_run, grace=old)

    planned, done = taken(dry_run=True).removed["visits"], taken().removed["visits"]
    assert (done.files, planned.files) == (7, 7)
    left = {path for path in bucket.files(folder) if "_delta_log" not in path}
    assert len(set(data) - left) == done.files
    assert taken().removed["visits"].entries == 4
    assert {r.number: lake.fingerprint(VISITS, r.versions["visits"]) for r in all_releases(lake)} == kept


@pytest.mark.slow
def test_a_release_in_a_bucket_is_restored_only_where_it_is_whole(bucket: Bucket, lake: Lake) -> None:
    for number in (1, 2, 3):
        version = publish(lake, ALL, visit(1, "a", number))
        commit_release(lake, f"run {number}", {"visits": Computed(version, ALL)}, NOON)
    (lost,) = lake.files_at("visits", all_releases(lake)[0].versions["visits"])
    path = next(path for path in bucket.files() if path.endswith(lost))
    bucket.system.rm(path)
    with pytest.raises(LakeError, match="release 1 cannot be restored, files of it are gone: visits"):
        restore(lake, 1, "restore", NOON)
    assert latest_release(lake).number == 3
    # Delta's own restore waits without letting go of Python, so it cannot be served by a thread of this process
    assert missing_files(lake, all_releases(lake)[1]) == {}


@pytest.mark.parametrize("step", ["stage", "publish", "read", "look"])
def test_a_refusal_is_told_without_the_credentials_that_the_bucket_repeats(
    bucket: Bucket, lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    publish(lake, FIRST, visit(1, "a"))
    staged = lake.stage(VISITS, table(VISITS, visit(1, "b")), FIRST)
    steps: dict[str, Callable[[], object]] = {
        "stage": lambda: lake.stage(VISITS, table(VISITS, visit(1, "c")), FIRST),
        "publish": lambda: lake.publish(staged, "a run"),
        "read": lambda: lake.read(VISITS),
        "look": lambda: lake.rows_of(staged),
    }
    monkeypatch.setattr(bucket, "refuses", True)
    with pytest.raises(LakeError, match=r"The signature does not match\.") as caught:
        steps[step]()
    told = "\n".join(str(error) for error in chain(caught.value))
    assert "visits" in str(caught.value)
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret in told]


@pytest.mark.slow
def test_a_bucket_that_does_not_exist_is_named(bucket: Bucket) -> None:
    engine = DuckDBEngine("500MB", threads=1)
    lake = Lake("s3://nowhere/lake", engine, Settings().storage_options)
    with pytest.raises(LakeError, match=r"s3://nowhere/lake.*The specified bucket does not exist"):
        lake.read(VISITS)
    with pytest.raises(LakeError, match=r"s3://nowhere/lake/visits: The specified bucket does not exist"):
        lake.stage(VISITS, table(VISITS, visit(1, "a")), FIRST)
    engine.close()


# sources


def test_the_files_of_a_source_are_found_and_fetched(bucket: Bucket, tmp_path: Path) -> None:
    for name in ("clicks-2024-03-01-a.csv.gz", "clicks-2024-03-01-b.csv.gz", "clicks-2024-03-02-a.csv.gz"):
        bucket.system.pipe(f"{bucket.name}/clicks/{name}", gzip.compress(f"event_id\n{name}\n".encode()))
    clicks = source(feed("events"), path=f"{bucket.url}/clicks/clicks-{{day}}-*.csv.gz")
    files = list(make_readable("clicks", clicks, FIRST, tmp_path))
    names = ["clicks-2024-03-01-a.csv.gz", "clicks-2024-03-01-b.csv.gz"]
    assert [(file.name, file.day) for file in files] == [(name, day(1)) for name in names]
    assert [file.path.read_text() for file in files] == [f"event_id\n{name}\n" for name in names]
    with pytest.raises(SourceError, match=r"source clicks: no file s3://bucket/clicks/clicks-2024-03-03-\*\.csv\.gz"):
        list(make_readable("clicks", clicks, THIRD, tmp_path))


# a whole run


@pytest.mark.slow
def test_a_project_run_from_and_to_a_bucket_gives_the_tables_of_a_local_run(bucket: Bucket, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    shutil.copytree(STARTER, remote)
    for path in (remote / "sources").iterdir():
        path.write_text(path.read_text().replace("path: data/", f"path: {bucket.url}/deliveries/"))
    bucket.system.put(f"{STARTER}/data/", f"{bucket.name}/deliveries/", recursive=True)
    shutil.rmtree(remote / "data")
    local, local_log = fingerprints(STARTER, str(tmp_path / "lake"))
    there, there_log = fingerprints(remote, f"{bucket.url}/lake")
    assert len(there) > 15
    assert there == local
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret in local_log + there_log]


def fingerprints(folder: Path, root: str) -> tuple[dict[str, str], str]:
    """Run a project and return the content hash of every released table, and what Dagster's history says."""
    project = load_project(folder, {})
    settings = Settings(project=folder, lake=root, exports=folder / "exports", memory="500MB", threads=1)
    days = Days(project.first_day, project.last_day or project.first_day)
    with dg.DagsterInstance.ephemeral() as instance:
        outcomes = run(project, settings, days, select=UNDRAWN, instance=instance)
        assert all(outcome.success for outcome in outcomes), [outcome.failures for outcome in outcomes]
        history = "\n".join(dg.serialize_value(log) for o in outcomes for log in instance.all_logs(o.run_id))
    contracts = resolve(project).contracts()
    with open_lake(settings, project.name) as lake:
        versions = latest_release(lake).versions
        return {name: lake.fingerprint(contracts[name], version) for name, version in versions.items()}, history
