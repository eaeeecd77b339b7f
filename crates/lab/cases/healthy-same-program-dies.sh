# about: another service of the same program crashes and is killed for memory, on requests that nginx has no part in
# expect: healthy
# status: 200
setup() {
  gunicorn bakery 127.0.0.1:8411 '--workers 2'
  gunicorn mill 127.0.0.1:8412 '--workers 1' MemoryMax=80M MemorySwapMax=0
  listening 127.0.0.1:8411
  listening 127.0.0.1:8412
  proxy_to bakery http://127.0.0.1:8411
  start_nginx
}
drive() { get / 5; for path in segfault eat/300 exit; do curl -s -m 3 "http://127.0.0.1:8412/$path" || true; done; get / 10; all_answered; }
