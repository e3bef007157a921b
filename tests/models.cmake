# Models of random weights for tests, made once for all presets by tests/tools/make_gguf.py.
#
# tern_model(NAME arguments of make_gguf.py before OUT...): a test models/NAME that makes ${TERN_MODELS}/NAME.gguf if it
# is not there, as the fixture NAME: tests that need it say FIXTURES_REQUIRED NAME.
set(TERN_MODELS ${PROJECT_SOURCE_DIR}/build/models)

function(tern_model name)
  if(TEST models/${name} OR NOT TERN_PYTHON)
    return()
  endif()
  string(JOIN " " arguments ${ARGN})
  set(file ${TERN_MODELS}/${name}.gguf)
  add_test(NAME models/${name}
           COMMAND sh -c "test -f ${file} || { mkdir -p ${TERN_MODELS} && ${TERN_PYTHON} ${PROJECT_SOURCE_DIR}/tests/tools/make_gguf.py ${arguments} ${file}.part && mv ${file}.part ${file}; }")
  set_tests_properties(models/${name} PROPERTIES FIXTURES_SETUP ${name} LABELS "models" RESOURCE_LOCK ${name})
endfunction()
