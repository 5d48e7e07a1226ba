#pragma once

// How the test kit says that something did not happen as expected.

#include <stdexcept>
#include <string>
#include <string_view>

namespace heph::testing {

/// Is thrown when an expectation is not met. Its `what()` says all there is to say, so that any
/// test framework that prints an uncaught exception shows why a test failed.
class expectation_failed : public std::runtime_error {
public:
    explicit expectation_failed(const std::string& what) : std::runtime_error(what) {}
};

/// Checks a condition in a scenario that `explore` runs: the assertions of a test framework may
/// count a failure that a replay is about to repeat, this one only throws.
/// *Errors*: throws `expectation_failed` with the text.
inline void expect(bool condition, std::string_view otherwise) {
    if (!condition) { throw expectation_failed(std::string(otherwise)); }
}

}  // namespace heph::testing
