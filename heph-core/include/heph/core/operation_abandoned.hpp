#pragma once

// What comes of an operation of another library that will never complete.

#include <exception>

namespace heph {

/// Is thrown to who waits for another library's operation when that library drops it: nobody is
/// left who could complete it. As when an event loop is destroyed that still had it in its queue.
class operation_abandoned : public std::exception {
public:
    [[nodiscard]] const char* what() const noexcept override {
        return "the operation was dropped by the library that ran it";
    }
};

}  // namespace heph
