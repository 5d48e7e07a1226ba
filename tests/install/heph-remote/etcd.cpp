// Links against the component; it is not run, as there may be no etcd.

#include <heph/remote/etcd/client.hpp>
#include <heph/rt/runtime.hpp>

heph::task<> look(heph::rt::worker worker) {
    namespace etcd = heph::remote::etcd;
    etcd::client client(worker, etcd::settings({"http://127.0.0.1:2379"}));
    const auto got = co_await client.get("/color");
    (void)got;
}

int main() {
    auto runtime = heph::rt::setup{}.build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([](heph::rt::worker& worker) { worker.spawn_future(look(worker)); });
    return heph::rt::report(runtime->start());
}
