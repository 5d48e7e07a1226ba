#include <utility>

#include <catch2/catch.hpp>

#include <heph/inbox/waker.hpp>

namespace {

struct calls {
    int clones = 0;
    int wakes = 0;
    int drops = 0;
    int both = 0;
};

void clone(void* data) noexcept { ++static_cast<calls*>(data)->clones; }
void wake(void* data) noexcept { ++static_cast<calls*>(data)->wakes; }
void drop(void* data) noexcept { ++static_cast<calls*>(data)->drops; }
void both(void* data) noexcept { ++static_cast<calls*>(data)->both; }

constexpr heph::waker_vtable three{&clone, &wake, &drop};
constexpr heph::waker_vtable four{&clone, &wake, &drop, &both};

}  // namespace

TEST_CASE("waker: a wake keeps the reference, and one of a waker that is given up drops it",
          "[inbox][waker]") {
    calls seen;
    {
        heph::waker kept(&seen, &three);
        kept.wake();
        CHECK(seen.wakes == 1);
        CHECK(seen.drops == 0);
        std::move(kept).wake();
        CHECK(seen.wakes == 2);
        CHECK(seen.drops == 1);
        CHECK_FALSE(kept);  // NOLINT(bugprone-use-after-move): it is empty now.
        std::move(kept).wake();
    }
    CHECK(seen.wakes == 2);
    CHECK(seen.drops == 1);
    CHECK(seen.clones == 0);
}

TEST_CASE("waker: an executor that does both at once is asked for neither one", "[inbox][waker]") {
    calls seen;
    {
        heph::waker given(&seen, &four);
        given.wake();
        std::move(given).wake();
    }
    CHECK(seen.both == 1);
    CHECK(seen.wakes == 1);
    CHECK(seen.drops == 0);
}
