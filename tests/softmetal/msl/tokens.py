"""Splits preprocessed Metal source into tokens that know their place, and walks over them."""

import re

PATTERN = re.compile(
    r"(?P<newline>\n)"
    r"|(?P<directive>^[ \t]*\#[^\n]*)"
    r"|(?P<space>[ \t\r]+)"
    r'|(?P<string>"(?:\\.|[^"\\])*")'
    r"|(?P<character>'(?:\\.|[^'\\])+')"
    r"|(?P<number>\.?\d(?:[\w.]|(?<=[eEpP])[+-])*)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<operator>::|->|[-+*/%&|^<>=!]=|&&|\|\||.)",
    re.M,
)
BLANK = {"newline", "directive", "space"}


class Token:
    __slots__ = ("column", "kind", "line", "text")

    def __init__(self, kind, text, line, column):
        self.kind, self.text, self.line, self.column = kind, text, line, column


class CompileError(Exception):
    """The source is refused; the message is what Metal's compiler would print."""


def tokenize(text):
    tokens, line, start = [], 1, 0
    for m in PATTERN.finditer(text):
        kind = m.lastgroup
        tokens.append(Token(kind, m.group(), line, m.start() - start + 1))
        if kind == "newline":
            line += 1
            start = m.end()
        elif kind == "directive":  # `# 12 "program_source"`
            marker = re.match(r'\s*#\s*(?:line\s+)?(\d+)\s+"', m.group())
            if marker:
                line = int(marker.group(1)) - 1
    return join_attribute_brackets(tokens)


def join_attribute_brackets(tokens):
    """`[[` always opens an attribute in Metal; `]]` closes one only where one is open (not in a[b[i]])."""
    out, open_brackets, skip = [], [], False
    for token, following in zip(tokens, tokens[1:] + [None], strict=False):
        if skip:
            skip = False
            continue
        twice = following is not None and following.text == token.text
        if token.text == "[":
            open_brackets.append("[[" if twice else "[")
            skip = twice
        elif token.text == "]" and open_brackets:
            skip = twice and open_brackets[-1] == "[["
            open_brackets.pop()
        if skip:
            token.text *= 2
        out.append(token)
    return out


class Cursor:
    """The significant tokens of a source, by index; changes are made in place."""

    def __init__(self, text):
        self.all = tokenize(text)
        self.tokens = [t for t in self.all if t.kind not in BLANK]
        self.errors = []

    def __len__(self):
        return len(self.tokens)

    def text(self, i):
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def kind(self, i):
        return self.tokens[i].kind if 0 <= i < len(self.tokens) else ""

    def set(self, i, text):
        self.tokens[i].text = text

    def append(self, i, text):
        self.tokens[i].text += text

    def blank(self, first, last):
        for i in range(first, last + 1):
            self.tokens[i].text = " " * len(self.tokens[i].text)

    def error(self, i, message):
        t = self.tokens[i]
        self.errors.append("program_source:%d:%d: error: %s" % (t.line, t.column, message))

    def close(self, i):
        """Index of the bracket that closes the one at i."""
        opening = self.text(i)
        closing = {"(": ")", "{": "}", "[": "]", "[[": "]]", "<": ">"}[opening]
        depth = 0
        for k in range(i, len(self)):
            if self.text(k) == opening:
                depth += 1
            elif self.text(k) == closing:
                depth -= 1
                if depth == 0:
                    return k
        t = self.tokens[i]
        raise CompileError("program_source:%d:%d: error: unbalanced '%s'" % (t.line, t.column, opening))

    def statement_start(self, i):
        """Index of the first token of the statement that holds token i."""
        depth = 0
        while i > 0:
            before = self.text(i - 1)
            if before == ")":
                depth += 1
            elif before == "(" and depth:
                depth -= 1
            elif depth == 0 and before in ("{", "}", ";"):
                return i
            i -= 1
        return 0

    def statement_end(self, i):
        """Index of the `;` (or of the `{` that begins a body) that ends the declaration at i."""
        while i < len(self) and self.text(i) not in (";", "{"):
            i = self.close(i) + 1 if self.text(i) in ("(", "[", "[[") else i + 1
        return i

    def source(self):
        return "".join(t.text for t in self.all)
