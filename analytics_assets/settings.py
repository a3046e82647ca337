"""Every environment variable that the package reads, in one typed class.

Belongs here: what differs between machines. Does not belong here: what a team decides about its data (`project`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

SECRETS = "ANALYTICS_SECRETS"
"""The variable that names the folder of secrets: a file each, called as the variable that it stands for."""
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Settings(BaseSettings):
    """Hold the settings of one machine.

    A setting is an environment variable, or a file of the same name in the folder of secrets (`/run/secrets`, or the
    one that ANALYTICS_SECRETS names), as Docker and Kubernetes hand secrets over. The variable comes first.

    >>> Settings(memory="2GB").memory
    '2GB'
    """

    # an empty variable is what Docker Compose makes of one that nobody set
    model_config = SettingsConfigDict(
        env_prefix="ANALYTICS_", populate_by_name=True, frozen=True, env_ignore_empty=True
    )

    project: Path = Field(
        Path(__file__).parent / "shop", description="the project's folder; the synthetic shop by default"
    )
    lake: str | None = Field(
        None, description="root of the tables: a folder or an s3:// URL; HOME/lake/PROJECT by default"
    )
    exports: Path | None = Field(
        None, description="folder of the CSV files that a run writes; HOME/exports/PROJECT by default"
    )
    automation: bool = Field(
        default=False, description="whether schedules and sensors begin as running; off, they are started in the UI"
    )
    charts: Path | None = Field(
        None, description="folder of the charts that a run draws; HOME/charts/PROJECT by default"
    )
    reports: Path | None = Field(
        None, description="folder of the executive report that a run writes; HOME/reports/PROJECT by default"
    )
    memory: str | None = Field(
        None, description="most memory of the engine, such as 4GB; half of the machine's by default"
    )
    threads: int | None = Field(None, ge=1, description="threads of the engine; all cores by default")
    ui_url: str = Field(
        "http://127.0.0.1:3000", description="where people find Dagster's UI, for the links in what they are told"
    )
    retention_days: int = Field(
        30, ge=0, description="days after which a vacuum forgets releases; the newest three are always kept"
    )
    warehouse_url: SecretStr | None = Field(
        None,
        description="the Postgres database that tables are served from, postgresql://USER:PASSWORD@HOST:5432/DATABASE; "
        "none by default",
    )
    warehouse_password: SecretStr | None = Field(
        None, description="the password as it is, instead of one that is percent-encoded in the URL"
    )
    warehouse_schema: str = Field(
        "analytics", min_length=1, max_length=63, description="the schema that tables are served in"
    )
    warehouse_reader: str = Field(
        "analytics_reader", min_length=1, max_length=63, description="the role that may read what is served"
    )
    warehouse_seconds: int = Field(
        300, ge=1, description="seconds without an answer after which the warehouse counts as hanging"
    )
    warehouse_reader_password: SecretStr | None = Field(
        None, description="the password that `migrate` gives the reader; without one it makes no reader"
    )
    history_url: SecretStr | None = Field(
        None,
        description="the Postgres database of Dagster's history, postgresql://USER:PASSWORD@HOST:5432/DATABASE, where "
        "`dagster.yaml` says that it is in Postgres",
    )
    history_password: SecretStr | None = Field(
        None, description="the password as it is, instead of one that is percent-encoded in the URL"
    )
    admin_url: SecretStr | None = Field(
        None,
        description="an administrator of Postgres, as whom `migrate` makes the roles and databases of the other URLs; "
        "without it, they must be there",
    )
    admin_password: SecretStr | None = Field(
        None, description="the password as it is, instead of one that is percent-encoded in the URL"
    )
    dagster_home: Path | None = Field(
        None,
        validation_alias=AliasChoices("DAGSTER_HOME"),
        description="Dagster's history; .dagster_home here by default",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then variables, then the files of the folder of secrets."""
        del dotenv_settings, file_secret_settings
        folder = _secrets_folder()
        files = [SecretsSettingsSource(settings_cls, folder)] if folder.is_dir() else []
        return (init_settings, env_settings, *files)

    @property
    def history(self) -> Path:
        """The folder of Dagster's history, absolute."""
        return (self.dagster_home or Path.cwd() / ".dagster_home").absolute()

    def lake_root(self, project: str) -> str:
        """Return the root of a project's tables."""
        root = self.lake or str(self.history.parent / "lake" / project)
        return root if "://" in root else str(Path(root).absolute())

    def exports_folder(self, project: str) -> Path:
        """Return the folder of a project's CSV files."""
        return (self.exports or self.history.parent / "exports" / project).absolute()

    def charts_folder(self, project: str) -> Path:
        """Return the folder of a project's charts."""
        return (self.charts or self.history.parent / "charts" / project).absolute()

    def reports_folder(self, project: str) -> Path:
        """Return the folder of a project's executive report."""
        return (self.reports or self.history.parent / "reports" / project).absolute()

    @property
    def engine_memory(self) -> str:
        """The most memory of the engine."""
        return self.memory or f"{_machine_memory() // 2 // 2**20}MiB"

    @property
    def storage_options(self) -> Mapping[str, str]:
        """Credentials and endpoint of a remote lake: the usual `AWS_*` variables.

        Name the region in `AWS_DEFAULT_REGION`, which every client reads. An endpoint without TLS also wants
        `AWS_ALLOW_HTTP=true`.
        """
        return {name: value for name, value in self.environment.items() if name.startswith("AWS_")}

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that a project's files may name, and the secrets that are handed over as files.

        A variable that is empty hides no file, as none of ours does. A file that is no text is no variable.
        """
        folder = _secrets_folder()
        found = {}
        for file in sorted(folder.iterdir()) if folder.is_dir() else []:
            if file.is_file():
                with suppress(UnicodeDecodeError):
                    found[file.name.upper()] = file.read_text(encoding="utf-8").strip()
        return found | {name: value for name, value in os.environ.items() if value or name not in found}


def _secrets_folder() -> Path:
    return Path(os.environ.get(SECRETS, "/run/secrets"))


def _machine_memory() -> int:
    """Return the bytes of memory that this process may use: the cgroup's limit, or the machine's."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(text) for path in _CGROUP_LIMITS if path.is_file() and (text := path.read_text().strip()).isdigit()]
    return min([physical, *limits])
