# Check steps that compile and run C and C++ programs against the libraries. Sourced by .ci/check.

step_tests_c() {
    [ -x tests-c/run.sh ] || skip "there is no tests-c/run.sh"
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/run.sh "$BUILD/tests-c"
}

step_tests_cpp() {
    [ -x tests-c/cpp/run.sh ] || skip "there is no tests-c/cpp/run.sh"
    ! grep -q 'cpp/run.sh' tests-c/run.sh || skip "tests-c runs it"
    need "$CXX"
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/cpp/run.sh "$BUILD/tests-cpp"
}

step_examples() {
    [ -e examples/Makefile ] || skip "there is no examples/Makefile"
    libs
    make -s -C examples check OUT="$BUILD/examples" INCLUDE="$PWD/include" LIBDIR="$OUTLIB"
}

# What the pages print must compile as printed, and their commands must do what they say.
step_docs() {
    [ -x tests-c/docs_check.sh ] || skip "there is no tests-c/docs_check.sh"
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/docs_check.sh
}
