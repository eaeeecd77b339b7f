# about: gunicorn takes every connection at once, but its three threads are busy with long answers: its accept queue stays empty
# expect: worker-pool-exhausted
# forbid: backend-hung, backend-slow, listen-queue-overflow
# peer: 127.0.0.1:8188
# status: 504
# log: 110: Connection timed out\) while reading response header
LOG=timing
setup() {
  gunicorn lectures 127.0.0.1:8188 '--workers 1 --worker-class gthread --threads 3 --timeout 60'
  listening 127.0.0.1:8188
  proxy_to lectures http://127.0.0.1:8188 'proxy_read_timeout 2s;'
  start_nginx
  get / 5
}
drive() { together /wait/1.5 9; hold /wait/1.5 12; sleep 0.4; }
