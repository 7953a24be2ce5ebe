"""A server of OpenAI's form on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-very-secret"


class Server:
    """A server of OpenAI's form. respond: the request's JSON -> a reply's content (a JSON value or
    bytes), or (status, content), or (status, content, headers); None closes the connection."""

    def __init__(self):
        self.respond = lambda body: reply_of("Yes")
        self.bodies, self.keys = [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.bodies.append(body)
                server.keys.append(self.headers.get("Authorization"))
                reply = server.respond(body)
                if reply is None:
                    return
                status, content, *headers = reply if isinstance(reply, tuple) else (200, reply)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def once(self, *replies):
        """These replies first, and then yes."""
        left = list(replies)
        self.respond = lambda body: left.pop(0) if left else reply_of("Yes")


def reply_of(content, finish="stop", **message) -> dict:
    message = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def prompt_of(body: dict) -> str:
    return body["messages"][0]["content"]
