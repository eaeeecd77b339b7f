# about: workers reach their quota all the time; one page alone is never answered, since the application hangs up on it
# expect: backend-aborts-request
# forbid: backend-worker-recycled, backend-crashed
# peer: 127.0.0.1:8350
# status: 502
setup() {
  gunicorn letters 127.0.0.1:8350 '--workers 2 --max-requests 4'
  listening 127.0.0.1:8350
  proxy_to letters http://127.0.0.1:8350
  start_nginx
}
drive() { for i in 1 2 3 4 5 6; do get / 5; get /hangup 1; done; }
