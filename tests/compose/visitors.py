"""Requests of every kind that go on while an operator does something, and what became of each."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import Factory, define, frozen

from tests.compose.story import Shop
from tests.support.waiting import PATIENCE

_ASK = """
import base64, json, sys, threading, time, urllib.error, urllib.request

name, out = sys.argv[1], open(sys.argv[2], "w")
basic, ended = base64.b64encode(b"license:" + sys.stdin.buffer.readline().strip()).decode(), False
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
scope = f"/auth/token?service={name}&scope=repository:myapp/worker:pull"

def ask(path, authorization=None):
    headers = {"Authorization": authorization} if authorization else {}
    request = urllib.request.Request(f"http://{name}{path}", headers=headers)
    with opener.open(request, timeout=60) as answer:
        return answer.status, None, answer.read()

def visit(kind, *asked):
    while not ended:
        at = time.time()
        try:
            status, retry_after, _ = ask(*asked)
        except urllib.error.HTTPError as error:
            status, retry_after = error.code, error.headers["Retry-After"]
        except OSError as error:
            status, retry_after = repr(error), None
        out.write(json.dumps([kind, at, time.time() - at, status, retry_after]) + "\\n")
        time.sleep(0.1)

token = json.loads(ask(scope, "Basic " + basic)[2])["token"]
threads = [
    threading.Thread(target=visit, args=("challenge", "/v2/")),
    threading.Thread(target=visit, args=("token", scope, "Basic " + basic)),
    threading.Thread(target=visit, args=("pull", "/v2/myapp/worker/manifests/1.0.1", "Bearer " + token)),
]
for thread in threads:
    thread.start()
print("visiting", flush=True)
sys.stdin.read()
ended = True
for thread in threads:
    thread.join()
out.close()
"""

GOOD = {"challenge": 401, "token": 200, "pull": 200}
"""What is asked all the time, and what it is answered."""


@frozen
class Answer:
    """What a request came to.

    Attributes:
        kind: of :data:`GOOD`.
        at: when it was sent, in seconds.
        seconds: that it took.
        status: of the answer, or what happened instead of one.
        retry_after: the header.
    """

    kind: str
    at: float
    seconds: float
    status: int | str
    retry_after: str | None

    @property
    def good(self) -> bool:
        """Whether it is the answer of a service that is up."""
        return self.status == GOOD[self.kind]

    @property
    def asks_to_wait(self) -> bool:
        """Whether it says that a part is not there now, and when to come again."""
        return self.status == 503 and self.retry_after is not None


@define
class Visits:
    """The answers, once the block has ended."""

    answers: Sequence[Answer] = Factory(tuple)

    def without(self, kind: str) -> float:
        """Return the seconds from the first answer of a kind that was not good to the next good one after the last."""
        mine = [answer for answer in self.answers if answer.kind == kind]
        bad = [answer for answer in mine if not answer.good]
        if not bad:
            return 0.0
        after = [answer.at + answer.seconds for answer in mine if answer.good and answer.at > bad[-1].at]
        return min(after, default=math.inf) - bad[0].at

    def said(self) -> str:
        """Return a line for each kind: a figure worth seeing."""
        lines = []
        for kind in GOOD:
            mine = [answer for answer in self.answers if answer.kind == kind]
            bad = [answer for answer in mine if not answer.good]
            others = sorted({str(answer.status) for answer in bad})
            longest = max(answer.seconds for answer in mine)
            lines.append(
                f"{kind}: {len(bad)} of {len(mine)} not as usual {others}, for {self.without(kind):.1f} s; "
                f"the longest took {longest:.1f} s"
            )
        return "\n".join(lines)


@contextmanager
def visitors(shop: Shop) -> Iterator[Visits]:
    """Ask all the time while the block runs."""
    visits = Visits()
    script, answers = shop.project.engine.folder / "visitors.py", shop.project.engine.folder / "answers"
    script.write_text(_ASK)
    with shop.project.engine.starts_inside(sys.executable, str(script), shop.name, str(answers)) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        asking.stdin.write(json.dumps(json.loads(shop.license_file)) + "\n")
        asking.stdin.flush()
        assert asking.stdout.readline() == "visiting\n"
        try:
            yield visits
        finally:
            asking.communicate(timeout=PATIENCE)
            visits.answers = [Answer(*json.loads(line)) for line in answers.read_text().splitlines()]
            assert asking.returncode == 0
