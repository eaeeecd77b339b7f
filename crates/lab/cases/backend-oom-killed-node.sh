# about: an import makes Node.js outgrow its unit's memory limit; the kernel kills it and nothing restarts it
# expect: backend-oom-killed
# forbid: backend-crashed, backend-not-running
# peer: 127.0.0.1:3046
# status: 502
# log: status=9/KILL
setup() {
  node importer 127.0.0.1:3046 '' MemoryMax=120M MemorySwapMax=0
  listening 127.0.0.1:3046
  proxy_to importer http://127.0.0.1:3046
  start_nginx
  get / 3
}
drive() { get /grow/400; get / 4; }
