# about: the application hangs up on one page; somebody else's program, of the same name, dies of a memory fault meanwhile
# expect: backend-aborts-request
# forbid: backend-crashed
# peer: 127.0.0.1:8360
# status: 502
setup() {
  serve parcels 127.0.0.1:8360
  listening 127.0.0.1:8360
  proxy_to parcels http://127.0.0.1:8360
  start_nginx
  get / 3
}
drive() { get /drop 3; daemon nightly '/usr/bin/python3 -c "import ctypes; ctypes.string_at(8)"' || true; get /drop 3; get / 5; }
