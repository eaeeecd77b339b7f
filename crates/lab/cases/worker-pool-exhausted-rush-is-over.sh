# about: a rush of long answers kept both workers busy for seconds, quick pages were late as well; by now everything is quiet
# expect: worker-pool-exhausted
# forbid: backend-hung, backend-slow, listen-queue-overflow
# peer: unix:/run/exams/exams.sock
# status: 504
# log: 110: Connection timed out\) while reading response header
LOG=timing
setup() {
  gunicorn exams unix:/run/exams/exams.sock '--workers 2 --timeout 60' RuntimeDirectory=exams
  listening /run/exams/exams.sock
  proxy_to exams http://unix:/run/exams/exams.sock: 'proxy_read_timeout 1s;'
  start_nginx
  get / 5
}
drive() { together /wait/0.8 10 & sleep 0.2; together / 3; wait; sleep 7; get / 3; }
