# about: gunicorn's own --timeout kills the worker that is still busy with a request
# expect: backend-worker-timeout
# forbid: backend-crashed, backend-oom-killed, backend-slow
# peer: 127.0.0.1:8152
# status: 502
# log: WORKER TIMEOUT
setup() {
  gunicorn surveys 127.0.0.1:8152 '--workers 3 --timeout 1'
  listening 127.0.0.1:8152
  proxy_to surveys http://127.0.0.1:8152
  start_nginx
  get / 4
}
drive() { together /wait/30 2; get / 4; }
