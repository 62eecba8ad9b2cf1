"""Results of clips: the JSON lines of ``face-perception run``, and the tables made of them."""

from face_perception.event_settings import EventSettings, changed_limits
from face_perception.results.boris import write_boris
from face_perception.results.clip import Clip, Sample, read_clip, read_clips
from face_perception.results.clip_markers import markers_path, read_markers
from face_perception.results.elan import write_elan
from face_perception.results.event_labels import target_label
from face_perception.results.events import (
    Event,
    EventKind,
    find_events,
    is_during,
    target_is_evident,
)
from face_perception.results.frame_table import frame_columns, frame_rows, read_rows
from face_perception.results.parquet_support import require_pyarrow
from face_perception.results.persons import (
    Amount,
    Mean,
    PersonSummary,
    TargetShare,
    summarise_persons,
)
from face_perception.results.quality import Quality
from face_perception.results.reading import read
from face_perception.results.run_record import (
    RunRecord,
    read_record,
    record_path,
)
from face_perception.results.schema import (
    FACE_FIELDS,
    FrameResult,
    fields_as_markdown,
)
from face_perception.results.study_tables import Table, study_tables
from face_perception.results.table_files import write_dictionary, write_table
from face_perception.results.table_paths import SUFFIXES

__all__ = [
    "FACE_FIELDS",
    "SUFFIXES",
    "Amount",
    "Clip",
    "Event",
    "EventKind",
    "EventSettings",
    "FrameResult",
    "Mean",
    "PersonSummary",
    "Quality",
    "RunRecord",
    "Sample",
    "Table",
    "TargetShare",
    "changed_limits",
    "fields_as_markdown",
    "find_events",
    "frame_columns",
    "frame_rows",
    "is_during",
    "markers_path",
    "read",
    "read_clip",
    "read_clips",
    "read_markers",
    "read_record",
    "read_rows",
    "record_path",
    "require_pyarrow",
    "study_tables",
    "summarise_persons",
    "target_is_evident",
    "target_label",
    "write_boris",
    "write_dictionary",
    "write_elan",
    "write_table",
]
