"""{% abort_message %}: the author says that this person shall not get the message."""

import re
from typing import NoReturn, TextIO

from liquid import RenderContext
from liquid.ast import Node
from liquid.exceptions import LiquidSyntaxError
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG, Token

from campaigns.errors import TemplateAborted

MAX_WORD = 100  # characters that are kept
CALL = re.compile(r"""\(?\s*(?:"([^"]*)"|'([^']*)')?\s*\)?""")


def abort(word: str) -> NoReturn:
    raise TemplateAborted(word)


class AbortNode(Node):
    __slots__ = ("word",)

    def __init__(self, token: Token, word: str) -> None:
        super().__init__(token)
        self.word = word

    def render_to_output(self, _context: RenderContext, _buffer: TextIO) -> int:
        abort(self.word)


class AbortTag(Tag):
    """`{% abort_message %}`, `{% abort_message() %}` and `{% abort_message('why') %}`."""

    name = "abort_message"
    block = False

    def parse(self, stream: TokenStream) -> AbortNode:
        token = stream.current
        if stream.peek.kind != TOKEN_EXPRESSION:
            stream.expect(TOKEN_TAG)
            return AbortNode(token, "")
        next(stream)
        found = CALL.fullmatch(stream.current.value.strip())
        if found is None:
            raise LiquidSyntaxError("abort_message takes one text in quotes", token=token)
        word = " ".join((found[1] or found[2] or "").split())
        return AbortNode(token, word[:MAX_WORD])
