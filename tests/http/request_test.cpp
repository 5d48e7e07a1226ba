#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/request.hpp>

#include "http/run_task.hpp"

namespace http = heph::http;
using heph::http::error;
using heph::http::test::run;

namespace {

class pieces final : public http::body_reader {
public:
    explicit pieces(std::vector<std::string> all, bool breaks = false)
        : pieces_(std::move(all)), breaks_(breaks) {}

    heph::task<std::expected<std::string_view, error>> next() override {
        if (at_ < pieces_.size()) { co_return pieces_[at_++]; }
        if (breaks_) { co_return std::unexpected(error::connection_lost); }
        co_return std::string_view();
    }
    [[nodiscard]] std::size_t taken() const noexcept { return at_; }

private:
    std::vector<std::string> pieces_;
    std::size_t at_ = 0;
    bool breaks_;
};

}  // namespace

TEST_CASE("request: without a body there is nothing to read", "[http][request]") {
    http::request request;
    CHECK(run(request.read_body()) == "");
    CHECK(run(request.body().next()) == "");
    CHECK(request.param("none").empty());
}

TEST_CASE("request: a body is joined up to the limit", "[http][request]") {
    http::request request;
    pieces exact({"abc", "de"});
    request.set_body(exact, 5);
    CHECK(run(request.read_body()) == "abcde");

    pieces more({"abc", "def", "never asked for"});
    request.set_body(more, 5);
    CHECK(run(request.read_body()).error() == error::body_too_large);
    CHECK(more.taken() == 2);

    pieces own({"abc"});
    request.set_body(own, 1'000);
    CHECK(run(request.read_body(2)).error() == error::body_too_large);

    pieces broken({"abc"}, true);
    request.set_body(broken, 1'000);
    CHECK(run(request.read_body()).error() == error::connection_lost);
}
