# Generates the messages of a package in msg/ for Python over Fast DDS, and nothing else.
#
# Include it after project(NAME NONE) and set(dependencies ...). The target python_messages makes
# them importable from rosidl_generator_py/ in the build folder, which must be in LD_LIBRARY_PATH.
# A unity build compiles the headers of Fast CDR once a library.

enable_language(C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_cmake REQUIRED)
find_package(rosidl_generator_c REQUIRED)
find_package(rosidl_generator_cpp REQUIRED)
find_package(rosidl_typesupport_fastrtps_cpp REQUIRED)
find_package(rosidl_typesupport_fastrtps_c REQUIRED)
find_package(rosidl_typesupport_c REQUIRED)
find_package(rosidl_generator_py REQUIRED)
foreach(dependency ${dependencies})
  find_package(${dependency} REQUIRED)
endforeach()

file(GLOB interfaces RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" msg/*.msg)
rosidl_generate_interfaces(${PROJECT_NAME} ${interfaces} DEPENDENCIES ${dependencies})
set(needed rosidl_typesupport_c rosidl_typesupport_fastrtps_c rosidl_typesupport_fastrtps_cpp)
foreach(library ${needed})
  set_target_properties(${PROJECT_NAME}__${library} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
endforeach()
add_custom_target(python_messages)
add_dependencies(python_messages ${PROJECT_NAME}__rosidl_typesupport_c
  ${PROJECT_NAME}__rosidl_typesupport_fastrtps_c ${PROJECT_NAME}_s__rosidl_typesupport_c)
