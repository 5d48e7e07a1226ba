#pragma once

#include <catch2/catch.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/options.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/tls/secret.hpp>
#include <heph/rt/worker.hpp>

namespace notes::test {

inline heph::rt::tls::secret a_secret() {
    constexpr std::string_view text = "a secret that only the nodes know";
    auto made = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(text)));
    REQUIRE(made);
    return std::move(*made);
}

/// Two nodes in one program: a, which knows b. They stop when this is destroyed.
struct linked_nodes {
    explicit linked_nodes(heph::rt::worker& its_worker) : worker(its_worker) {
        heph::remote::options of_b("b", a_secret());
        of_b.listen("127.0.0.1:0");
        auto started_b = heph::remote::node::start(worker, of_b);
        REQUIRE(started_b);
        b.emplace(std::move(*started_b));
        heph::remote::options of_a("a", a_secret());
        of_a.peer("b", b->address());
        heph::remote::link_settings times;
        times.patience = std::chrono::milliseconds(200);
        of_a.links(times);
        auto started_a = heph::remote::node::start(worker, of_a);
        REQUIRE(started_a);
        a.emplace(std::move(*started_a));
    }

    ~linked_nodes() {
        a->stop();
        b->stop();
    }
    linked_nodes(const linked_nodes&) = delete;
    linked_nodes& operator=(const linked_nodes&) = delete;

    /// Waits until a reaches b, at most 20 seconds.
    heph::task<> until_linked() const {
        for (int tries = 0; tries < 2000 && !a->is_linked("b"); ++tries) {
            co_await heph::rt::timer(std::chrono::milliseconds(10));
        }
        REQUIRE(a->is_linked("b"));
    }

    /// Waits until b has said goodbye, at most 20 seconds: until then it answers.
    heph::task<> until_unlinked() const {
        for (int tries = 0; tries < 2000 && a->is_linked("b"); ++tries) {
            co_await heph::rt::timer(std::chrono::milliseconds(10));
        }
        REQUIRE_FALSE(a->is_linked("b"));
    }

    heph::rt::worker worker;
    std::optional<heph::remote::node> a;
    std::optional<heph::remote::node> b;
};

}  // namespace notes::test
