"""Serves graphite-web's WSGI application on 127.0.0.1:PORT."""
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from graphite.wsgi import application


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


make_server("127.0.0.1", int(sys.argv[1]), application, Server).serve_forever()
