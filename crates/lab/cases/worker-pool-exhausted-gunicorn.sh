# about: both synchronous workers are busy with long answers; quick requests wait behind them until nginx gives up
# expect: worker-pool-exhausted
# forbid: backend-hung, listen-queue-overflow, backend-worker-timeout
# peer: 127.0.0.1:8178
# status: 504
# log: 110: Connection timed out\) while reading response header
LOG=timing
setup() {
  gunicorn seminar 127.0.0.1:8178 '--workers 2 --timeout 60'
  listening 127.0.0.1:8178
  proxy_to seminar http://127.0.0.1:8178 'proxy_read_timeout 2s;'
  start_nginx
  get / 5
}
drive() { together /wait/1 4; hold /wait/9 6; sleep 0.3; together / 4; hold /wait/9 3; sleep 0.3; }
