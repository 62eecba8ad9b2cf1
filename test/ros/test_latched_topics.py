"""Tests that latched topics say nothing that no longer holds while a node is inactive."""

from __future__ import annotations

from typing import Any

import pytest
from node_handlers import NodeHandlers
from std_msgs.msg import String

from face_perception.ros.publishing import NodePublisher


@pytest.mark.usefixtures("domain")
def test_nobody_speaks_while_attention_is_inactive(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, list[Any]] = {}
    publish = NodePublisher.publish

    def record(publisher: NodePublisher, item: Any) -> None:
        sent.setdefault(publisher.topic_name, []).append(item)
        publish(publisher, item)

    handlers = NodeHandlers("attention", monkeypatch.setattr)
    node = handlers.node
    monkeypatch.setattr(NodePublisher, "publish", record)
    try:
        for publisher in (node._speaker, node._look_at_id):
            node.publish(publisher, String(data="face_1"))
        node.trigger_deactivate()
    finally:
        handlers.close()
    assert [message.data for message in sent["/speaker"]] == ["face_1", ""]
    assert [message.data for message in sent["/look_at_id"]] == ["face_1", ""]
